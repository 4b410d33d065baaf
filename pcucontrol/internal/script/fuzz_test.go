package script

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wiretest"
)

// FuzzConversation lets a device of any model say anything.
func FuzzConversation(f *testing.F) {
	texts := map[string]Conversation{}
	for name, text := range modelFiles(f) {
		found, err := Read(name, text)
		if err != nil {
			f.Fatal(err)
		}
		maps.Copy(texts, found)
	}
	maps.DeleteFunc(texts, func(_ string, c Conversation) bool { return c.isWeb() })
	names := slices.Sorted(maps.Keys(texts))
	for i, transcript := range []string{
		"\xff\xfb\x01\xff\xfb\x03\r\nUser Name : admin\r\nPassword  : *********\r\n\r\nAmerican Power Conversion     " +
			"          Network Management Card AOS      v2.6.4\r\n\r\n------- Control Console -------\r\n     1- " +
			"Device Manager\r\n     2- Network\r\n     4- Logout\r\n\r\n     <ESC>- Main Menu, <ENTER>- Refresh\r\n> ",
		"\r\nUser Name : \r\nPassword  : \r\napc>olStatus 3\r\nE000: Success\r\n 3: Outlet 3: On*\r\n\r\napc>",
		"\r\nAccess to the Control Console will be denied\r\n",
		"\r\nRPC3-NC Series\r\n(C) 2002 by BayTech\r\nF4.00\r\n\r\nEnter user name: admin\r\nEnter Password: " +
			"\r\nRPC3-NC>Status\r\n\r\nAverage Power: 0 Watts\r\n\r\n 1)...Outlet 1  : On\r\n 3)...Outlet 3  : " +
			"Off\r\n\r\nRPC3-NC>",
		"\r\nRebooting... 10\b\b9\b\b8\b\b\r\nRPC-16>",
		"\x1b[2J\x1b[1;1HEnter Password: \r\nIPS> /S\r\n 3 | (undefined) | ON | \r\nIPS> ",
		"\r\nPassword >\r\nEnter >P3\r\nEnter >",
		"\r\n$ racadm serveraction powerstatus\r\nServer power status: Powering OFF\r\n$ ",
		"</>hpiLO-> show /system1\r\nstatus=0\r\n  Properties\r\n    enabledstate=enabled\r\n</>hpiLO-> ",
		"SSH-2.0-OpenSSH_4.3\r\n", "Port in use.\r\n", "\x00\xff\xff\xff\xfa\x18\x01\xff\xf0", wiretest.Password,
	} {
		f.Add(byte(i), []byte(transcript))
	}
	f.Fuzz(func(t *testing.T, model byte, transcript []byte) {
		d := textDriver{texts[names[int(model)%len(names)]], "telnet"}
		d.c.Redials = 0
		if len(d.c.Login) == 0 {
			d.c.Login = d.c.Welcome
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := d.Status(ctx, wiretest.Said(transcript))
		wiretest.WantTyped(t, err)
		_, err = d.Switch(ctx, wiretest.Said(transcript), pcucontrol.OpCycle)
		wiretest.WantTyped(t, err)
		if time.Since(start) > 6*time.Second {
			t.Errorf("it took %v", time.Since(start))
		}
	})
}

// modelFiles are the built-in ones, by name.
func modelFiles(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../models/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no model files: %v", err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// FuzzModelFile reads an operator's model file: what is taken can be driven.
func FuzzModelFile(f *testing.F) {
	for _, text := range modelFiles(f) {
		f.Add(text)
	}
	f.Add([]byte("models:\n  X: &x\n    <<: *x\n"))
	f.Add([]byte("prompt: '('\ntransports: [telnet 0]\nmodels: {A: {}}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		found, err := Read("own.yaml", file)
		if err != nil {
			return
		}
		for name, c := range found {
			m := c.Model(name)
			if len(m.Transports) == 0 || !slices.Contains(m.Capabilities, "cycle") {
				t.Errorf("%+v was taken", m)
			}
		}
	})
}
