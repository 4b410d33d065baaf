package pcudev_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/pcudev"
)

// call connects to a device on loopback.
func call(t *testing.T, where string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c, bufio.NewReader(c)
}

// until reads up to a text.
func until(t *testing.T, r *bufio.Reader, text string) string {
	t.Helper()
	var heard strings.Builder
	for !strings.HasSuffix(heard.String(), text) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("no %q in %q: %v", text, heard.String(), err)
		}
		heard.WriteByte(b)
	}
	return heard.String()
}

func rpc(t *testing.T) (pcudev.Device, string) {
	t.Helper()
	_, d, where := start(t, peer{model: "BayTechRPC3NC", transport: "telnet", user: "admin", password: password})
	return d, where
}

func TestTelnetOptionsAreSettled(t *testing.T) {
	const iac, will, do, wont, dont = 255, 251, 253, 252, 254
	_, where := rpc(t)
	c, r := call(t, where)
	_, _ = c.Write([]byte{iac, will, 24, iac, do, 31, iac, do, 1, iac, will, 3, iac, 250, 24, 0, 'x', iac, 240})
	heard := until(t, r, "user name: ") + "|"
	_, _ = c.Write([]byte("admin\r"))
	heard += until(t, r, "Password: ")
	for _, want := range [][]byte{{iac, will, 1, iac, will, 3}, {iac, dont, 24}, {iac, wont, 31}, {iac, do, 3}} {
		if !bytes.Contains([]byte(heard), want) {
			t.Errorf("%v is not in %q", want, heard)
		}
	}
	if bytes.Contains([]byte(heard), []byte{iac, wont, 1}) || !strings.Contains(heard, "admin") {
		t.Errorf("it takes back its echo, or does not echo: %q", heard)
	}
}

func TestALineEndsHoweverItEnds(t *testing.T) {
	for name, end := range map[string]string{"CR": "\r", "CR LF": "\r\n", "CR NUL": "\r\x00", "CR NUL LF": "\r\x00\n",
		"LF": "\n"} {
		t.Run(name, func(t *testing.T) {
			_, where := rpc(t)
			c, r := call(t, where)
			until(t, r, "user name: ")
			_, _ = io.WriteString(c, "admim\bn"+end)
			until(t, r, "Password: ")
			_, _ = io.WriteString(c, password+end)
			until(t, r, "RPC3-NC>")
			_, _ = io.WriteString(c, "logout"+end)
			if heard := until(t, r, "Bye"); strings.Contains(heard, "RPC3-NC>") {
				t.Errorf("it took a line twice: %q", heard)
			}
		})
	}
}

func TestADeviceHasOneSession(t *testing.T) {
	d, where := rpc(t)
	first, r := call(t, where)
	until(t, r, "user name: ")
	_, other := call(t, where)
	until(t, other, "Port in use.")
	_ = first.Close()
	awaitFree(t, where)
	d.Break(pcudev.Busy)
	_, fourth := call(t, where)
	until(t, fourth, "Port in use.")
}

// awaitFree calls until the device has noticed that the session before has ended.
func awaitFree(t *testing.T, where string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		c, r := call(t, where)
		var heard string
		for !strings.HasSuffix(heard, "user name: ") {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			heard += string(b)
		}
		_ = c.Close()
		if strings.HasSuffix(heard, "user name: ") {
			return
		}
	}
	t.Fatal("the device still has a session that has ended")
}

func TestADeviceMayHaveSeveralFaults(t *testing.T) {
	d, where := rpc(t)
	d.Break(pcudev.DropsFirst + "," + pcudev.AsksNothing)
	_, r := call(t, where)
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("the first connection hears %q", rest)
	}
	_, r = call(t, where)
	until(t, r, "RPC3-NC>")
}
