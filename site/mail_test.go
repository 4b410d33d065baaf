package site

import (
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
)

// told is a site that knows the store and has something to say.
func told(level int) State {
	s := Start("huji", "life")
	s.Stands(begin, begin, Standing{Times: TimesOf(policy.Defaults(24 * time.Hour))})
	s.Hold(begin, HoldRequest{Key: "k", Ref: ref(1), Level: level, Kind: "down"})
	return s
}

func TestMailed_AMessageThatIsLostEachTimeIsGivenUpAndTellsNobody(t *testing.T) {
	s, now, key := told(1), begin.Add(time.Hour), ""
	var at []time.Time
	for range 50 {
		step := s.Next(now, false)
		if step.Do == Sleep {
			now = step.Until
			continue
		}
		if step.Do != Mail {
			break
		}
		if key == "" {
			key = step.Key
		}
		if step.Key != key {
			t.Fatalf("the same message goes as %s and as %s", key, step.Key)
		}
		at = append(at, now)
		s.Began(Mail)
		s.Mailed(now, MailResult{Outcome: MailLost, Reason: "the connection broke after DATA"})
	}
	if len(at) != mostLost {
		t.Fatalf("%d tries, want %d", len(at), mostLost)
	}
	for i := 2; i < len(at); i++ {
		if at[i].Sub(at[i-1]) <= at[i-1].Sub(at[i-2]) {
			t.Errorf("the tries do not grow apart: %v", at)
		}
	}
	if s.Warned != nil || s.Level != 0 || s.Letter != nil {
		t.Errorf("somebody counts as told: %+v", s)
	}
}

func TestCaught_PeopleAreTriedForDaysAndThenGivenUp(t *testing.T) {
	s := told(0)
	s.seal(begin, "k")
	s.Mailed(begin, MailResult{Outcome: MailSent, Reached: true, Deferred: []string{"a@b"}})
	now, tries := begin, 0
	for ; len(s.Late) > 0 && tries < 100; tries++ {
		now = s.Late[0].Next
		s.Caught(now, s.Late[0].Key, []string{"a@b"})
	}
	if d := now.Sub(begin); d < lateFor*24*time.Hour || d > (lateFor+1)*24*time.Hour || tries > 25 {
		t.Errorf("%d tries over %s", tries, d)
	}
}

func TestHold_WhoIsBadAgainIsNotThanked(t *testing.T) {
	s := told(0)
	s.seal(begin, "k")
	s.Mailed(begin, MailResult{Outcome: MailSent, Reached: true})
	s.Release(begin, Release{Ref: ref(1), Thanks: true})
	if len(s.Pending) != 1 || s.Pending[0].Kind != Online {
		t.Fatalf("no thanks wait: %+v", s.Pending)
	}
	s.Hold(begin.Add(time.Hour), HoldRequest{Key: "again", Ref: ref(1), Kind: "down"})
	if len(s.Pending) != 1 || s.Pending[0].Kind != "down" {
		t.Errorf("to be said is %+v", s.Pending)
	}
	other := issue.Ref{ID: "failboot/" + ref(1).Node, Type: issue.Failboot, Node: ref(1).Node}
	s.Hold(begin, HoldRequest{Key: "other", Ref: other, Kind: "failboot"})
	s.Mailed(begin, MailResult{Outcome: MailNothing})
	s.Release(begin, Release{Ref: ref(1), Thanks: true})
	for _, n := range s.Pending {
		if n.Kind == Online {
			t.Errorf("thanks for a machine with other trouble: %+v", n)
		}
	}
}

// What asks for no level yet is told by name, too: in a warning, after a pause, and as what is left of the trouble.
func TestWrite_HandsOverWhatDeniesNothingYet(t *testing.T) {
	s := told(0)
	s.seal(begin, "k")
	if r := s.Write(begin); len(r.Holds) != 1 || r.Holds[0].Ref.ID != ref(1).ID || r.Open != 1 {
		t.Errorf("it hands over %+v", r)
	}
}
