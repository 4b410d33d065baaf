package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// SocketMode is that of a socket's file: the account that serves and the group of the file reach it, and no other.
const SocketMode fs.FileMode = 0o660

// Socket is the file of an address such as unix:/run/monitor/web.sock; false: it is a port.
func Socket(address string) (path string, is bool) { return strings.CutPrefix(address, "unix:") }

// At listens at host:port or unix:/path. A socket that a process left behind is put away; one at which somebody answers,
// and any other file, stays.
func At(ctx context.Context, address string) (net.Listener, error) {
	path, is := Socket(address)
	if !is {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if err := putAway(ctx, path); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, SocketMode); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// putAway takes a socket away at which nobody listens.
func putAway(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: take it away, or name another one", path)
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("another process serves at %s: end it, or name another one", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("whether somebody serves at %s cannot be seen: %w", path, err)
	}
	return os.Remove(path)
}
