package console

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// SSHFace is what a device shows over ssh.
type SSHFace struct {
	Faults *device.Condition
	Check  func(user, password string) bool
	Shell  func(io.ReadWriter)
	exec   func(command string, rw io.ReadWriter) // nil: there is but a shell
}

// ServeSSH answers ssh connections with a host key of its own.
func ServeSSH(l net.Listener, face SSHFace) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return err
	}
	denied := errors.New("denied")
	config := &ssh.ServerConfig{
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if !face.Check(c.User(), string(password)) {
				return nil, denied
			}
			return nil, nil
		},
		KeyboardInteractiveCallback: func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions,
			error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 || !face.Check(c.User(), answers[0]) {
				return nil, denied
			}
			return nil, nil
		},
	}
	config.AddHostKey(signer)
	return device.Accept(l, func(c net.Conn) {
		if f := face.Faults; f.DropFirst() || (f.Has(device.Mute) || f.Has(device.Refuses)) && f.Dead(c) {
			return
		}
		_, channels, requests, err := ssh.NewServerConn(c, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for channel := range channels {
			if channel.ChannelType() != "session" {
				_ = channel.Reject(ssh.UnknownChannelType, "only sessions")
				continue
			}
			ch, in, err := channel.Accept()
			if err != nil {
				return
			}
			go face.session(ch, in)
		}
	})
}

func (face SSHFace) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	started := false
	for r := range requests {
		run := func() { face.Shell(ch) }
		ok := !started && r.Type == "shell"
		if !started && r.Type == "exec" && face.exec != nil {
			var payload struct{ Command string }
			ok = ssh.Unmarshal(r.Payload, &payload) == nil
			run = func() { face.exec(payload.Command, ch) }
		}
		if ok {
			started = true
			go func() {
				defer ch.Close()
				if !face.Faults.Dead(ch) {
					run()
				}
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
			}()
		}
		_ = r.Reply(ok || r.Type == "pty-req" || r.Type == "env", nil)
	}
}
