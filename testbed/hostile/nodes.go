package hostile

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Nodes are habits of a node's ssh port. Anybody's key is let in.
func Nodes() []Habit {
	in := func(name string, do func(*sshServer, ssh.Channel)) Habit { return Habit{name, loggedIn(do)} }
	says := func(name, text string) Habit {
		return in(name, func(_ *sshServer, ch ssh.Channel) {
			_, _ = io.WriteString(ch, text)
			exit(ch, 0)
		})
	}
	const healthy = "kernel=Linux n 4.19.110\nbootmanager=0\nuptime=90000\nnodemanager=1\n"
	return []Habit{
		in("ends the command by a signal with a NUL in its name", func(_ *sshServer, ch ssh.Channel) {
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name, Core, Text, Language string
			}{Evil, "", Novel(10_000), Evil}))
			_ = ch.Close()
		}),
		{"rejects a channel with a text of 200 kB", rejects(Novel(200_000))},
		{"rejects a channel with a NUL", rejects(Evil)},
		{"hangs after the login", loggedInRaw(func(s *sshServer) {
			for range s.chans {
			}
		})},
		in("talks without end", func(_ *sshServer, ch ssh.Channel) {
			for {
				if _, err := io.WriteString(ch, Novel(30_000)); err != nil {
					return
				}
			}
		}),
		in("talks on its error output without end", func(_ *sshServer, ch ssh.Channel) {
			for {
				if _, err := io.WriteString(ch.Stderr(), Novel(30_000)); err != nil {
					return
				}
			}
		}),
		says(
			"puts controls into every fact",
			"kernel="+Evil+"\nbootcd="+Evil+"\nbootserver="+Evil+"\nreadonly=/"+Evil+"\nasked="+Evil+"\ndns="+Evil+"\nwrite=/var/log "+Evil+"\nend=1\n",
		),
		says("puts novels into every fact", "kernel="+line(60_000)+"\nend=1\n"),
		says(
			"says that it fails to write in a thousand folders",
			strings.Repeat("write=/"+line(200)+" Input/output error\n", 300)+healthy+"end=1\n",
		),
		says("has been up since before the big bang", healthy+"uptime=99999999999999999999\ninstall=-1\nend=1\n"),
		says("was installed at the end of time", healthy+"uptime=-5\ninstall=9223372036854775807\nend=1\n"),
		says("ends before it says anything", "end=1\n"),
		says("says the same fact a thousand times", strings.Repeat("kernel=x\nbootmanager=1\n", 2000)+"end=1\n"),
		says("says no line at all", line(70_000)),
		in("says nothing and exits with 255", func(_ *sshServer, ch ssh.Channel) { exit(ch, 255) }),
		in("opens channels of its own", func(s *sshServer, ch ssh.Channel) {
			for range 100 {
				_, _, _ = s.conn.OpenChannel(Evil, []byte(Novel(10_000)))
			}
			exit(ch, 1)
		}),
		in("floods with requests", func(s *sshServer, ch ssh.Channel) {
			for range 2000 {
				if _, _, err := s.conn.SendRequest(Evil, false, []byte(Novel(1000))); err != nil {
					return
				}
				_, _ = ch.SendRequest("exit-status-"+Evil, false, []byte(Novel(1000)))
			}
			exit(ch, 1)
		}),
		{"says nothing", silence},
		{"hangs up at once", func(net.Conn) {}},
		{"greets without end", func(c net.Conn) { flood(c, Evil) }},
		{
			"is another protocol",
			func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 "+Evil+"\r\n\r\n"); silence(c) },
		},
		{"greets with a version of controls and then noise", func(c net.Conn) {
			_, _ = io.WriteString(c, "SSH-2.0-"+strings.NewReplacer("\r", "", "\n", "").Replace(Evil)+"\r\n")
			flood(c, Evil)
		}},
		{"refuses every key, and says why at length", refusesKeys},
		{"disconnects with a NUL", func(c net.Conn) { disconnects(c) }},
	}
}

// line is a text of one line.
func line(size int) string { return strings.NewReplacer("\r", "", "\n", "").Replace(Novel(size)) }

type sshServer struct {
	conn  *ssh.ServerConn
	chans <-chan ssh.NewChannel
}

func hostKey() ssh.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		panic(err)
	}
	return s
}

func loggedInRaw(do func(*sshServer)) func(net.Conn) {
	key := hostKey()
	return func(c net.Conn) {
		config := &ssh.ServerConfig{
			PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil },
			BannerCallback:    func(ssh.ConnMetadata) string { return Evil },
		}
		config.AddHostKey(key)
		conn, chans, reqs, err := ssh.NewServerConn(c, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(reqs)
		do(&sshServer{conn, chans})
	}
}

// loggedIn does something on the first channel on which a command is asked for.
func loggedIn(do func(*sshServer, ssh.Channel)) func(net.Conn) {
	return loggedInRaw(func(s *sshServer) {
		for n := range s.chans {
			ch, reqs, err := n.Accept()
			if err != nil {
				return
			}
			go func() {
				for r := range reqs {
					_ = r.Reply(true, nil)
					if r.Type == "exec" {
						go do(s, ch)
					}
				}
			}()
		}
	})
}

func rejects(text string) func(net.Conn) {
	return loggedInRaw(func(s *sshServer) {
		for n := range s.chans {
			_ = n.Reject(ssh.ConnectionFailed, text)
		}
	})
}

func refusesKeys(c net.Conn) {
	config := &ssh.ServerConfig{
		MaxAuthTries: 100,
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, &ssh.BannerError{Err: errors.New("no"), Message: Novel(20_000)}
		},
	}
	config.AddHostKey(hostKey())
	_, _, _, _ = ssh.NewServerConn(c, config)
}

// disconnects says goodbye in the middle of the greetings (RFC 4253, 11.1).
func disconnects(c net.Conn) {
	_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
	message := ssh.Marshal(struct {
		Kind     byte `sshtype:"1"`
		Reason   uint32
		Text     string
		Language string
	}{1, 2, Evil + Novel(20_000), Evil})
	padding := 8 - (len(message)+5)%8 + 8
	packet := fmt.Appendf(nil, "%s", []byte{0, 0, 0, 0, byte(padding)})
	packet = append(append(packet, message...), make([]byte, padding)...)
	n := len(packet) - 4
	packet[0], packet[1], packet[2], packet[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	_, _ = c.Write(packet)
	silence(c)
}

func exit(ch ssh.Channel, status uint32) {
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	_ = ch.Close()
}
