package script

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/pending"
	"github.com/planetlab/monitor/pcucontrol/internal/wiretest"
)

// A key that wakes an iPAL may be taken for an empty password. It asks again, is told the password twice, and takes the
// second one for a command.
func TestThePasswordTakenForACommandIsNotTheAnswerToTheCommand(t *testing.T) {
	text, err := os.ReadFile("../../models/ipal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found, err := Read("ipal.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	const asks, listens, wrong = "\r\nPassword > ", "\r\nEnter > ", "Invalid relay\r\nEnter > "
	for _, c := range []struct {
		name   string
		script [][]string // what it says at first, and to each line after that, piece by piece
		kind   pcucontrol.Kind
	}{
		{"what it says to that is heard before the command",
			[][]string{{asks}, {asks}, {listens, wrong}, {"P3" + listens}, {"Bye\r\n"}}, ""},
		{"what it says to that comes in one piece with its prompt",
			[][]string{{asks}, {asks}, {listens + wrong}, {"P3" + listens}, {"Bye\r\n"}}, ""},
		{"it says that only after the command",
			[][]string{{asks}, {asks}, {listens}, {wrong, listens}, {"Bye\r\n"}}, pcucontrol.Ambiguous},
		{"a relay that there is not, in step", [][]string{{asks}, {listens}, {wrong}, {"Bye\r\n"}},
			pcucontrol.NoOutlet},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				in := bufio.NewReader(theirs)
				for i, says := range c.script {
					if i > 0 {
						if _, err := in.ReadString('\n'); err != nil {
							return
						}
					}
					for _, piece := range says {
						_, _ = io.WriteString(theirs, piece)
					}
				}
				_, _ = io.Copy(io.Discard, in)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			target := pcucontrol.Target{Host: "pdu", Password: wiretest.Password, Outlet: 3,
				Dial: pending.New(ours, nil).Dial}
			_, err := textDriver{found["IPAL"], "tcp"}.Switch(ctx, target, pcucontrol.OpCycle)
			if pcucontrol.KindOf(err) != c.kind {
				t.Errorf("it gives %v", err)
			}
		})
	}
}
