package listen

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// through asks a server behind a socket.
func through(t *testing.T, path string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	answer, err := c.Get("http://monitor.example/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

func TestASocketIsServedAfterOneThatWasLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := At(t.Context(), "unix:"+path); err == nil || !strings.Contains(err.Error(), "another process serves") {
		t.Errorf("one at which somebody listens: %v", err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close() // as a process that was killed
	l, err := At(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != SocketMode {
		t.Errorf("its file is %v, %v", info.Mode(), err)
	}
	s := Server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }), nil,
		slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- Serve(l, s, 3) }()
	if got := through(t, path); got != "served" {
		t.Errorf("it answers %q", got)
	}
	_ = s.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it leaves its file behind: %v", err)
	}
}

// The drop-in of docs/web.md gives the folder to the group of the proxy.
func TestASocketHasTheGroupOfItsFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives folders away")
	}
	const group = 54321
	dir := t.TempDir()
	if err := os.Chown(dir, 0, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o750|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	l, err := At(t.Context(), "unix:"+filepath.Join(dir, "web.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(filepath.Join(dir, "web.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if is, known := info.Sys().(*syscall.Stat_t); !known || is.Gid != group || info.Mode().Perm() != SocketMode {
		t.Errorf("it is %+v", info.Sys())
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	if err := os.WriteFile(path, []byte("a diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := At(t.Context(), "unix:"+path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a diary" {
		t.Errorf("it is %q, %v", text, err)
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := At(t.Context(), "unix:"+link); err == nil {
		t.Error("a link is followed")
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	if l, err := At(t.Context(), "127.0.0.1:0"); err != nil {
		t.Errorf("a port: %v", err)
	} else {
		_ = l.Close()
	}
}
