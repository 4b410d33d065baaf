package store

import (
	"errors"
	"testing"
)

// Who gives an action up that he has read as not begun changes nothing if another has begun it meanwhile.
func TestOnlyWhatWasNeverBegunIsGivenUp(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	for _, c := range []struct {
		name          string
		begin         bool
		ends          string
		begun         bool
		outcome, held string
	}{
		{"never begun", false, "", false, Failed, ""},
		{"begun", true, "", true, "", "outlet"},
		{"given up before", false, Failed, false, Failed, "outlet"}, // whoever did that lets go of what he means to
		{"done", true, Done, true, Done, "outlet"},
	} {
		_, _, _, err := s.Begin(ctx, Plan{Action: Action{Key: c.name, Kind: KindReboot},
			Claims: []Claim{{Kind: ClaimOutlet, Target: c.name, Issue: c.name},
				{Kind: ClaimHold, Target: c.name, Issue: c.name}}})
		if err != nil {
			t.Fatal(err)
		}
		if c.begin {
			if _, err := s.Commit(ctx, c.name); err != nil {
				t.Fatal(err)
			}
		}
		if c.ends != "" {
			if err := s.Outcome(ctx, c.name, c.ends, "before"); err != nil {
				t.Fatal(err)
			}
		}
		if begun, err := s.GiveUp(ctx, c.name, "its worker ended", ClaimOutlet); err != nil || begun != c.begun {
			t.Errorf("%s: begun %v, %v", c.name, begun, err)
		}
		a, err := s.Action(ctx, c.name)
		if err != nil || a.Outcome != c.outcome {
			t.Errorf("%s is %q, %v", c.name, a.Outcome, err)
		}
		held, err := s.Claims(ctx, ClaimFilter{Key: c.name, Kind: ClaimOutlet})
		if err != nil || (len(held) > 0) != (c.held != "") {
			t.Errorf("%s: held are %+v, %v", c.name, held, err)
		}
		if kept, err := s.Claims(ctx, ClaimFilter{Key: c.name, Kind: ClaimHold}); err != nil || len(kept) != 1 {
			t.Errorf("%s: what was not to be let go is %+v, %v", c.name, kept, err)
		}
	}
	if _, err := s.GiveUp(ctx, "no such", "why"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was never intended: %v", err)
	}
	if err := s.Outcome(ctx, "never begun", Done, "late"); !errors.Is(err, ErrEnded) {
		t.Errorf("a late outcome: %v", err)
	}
}

// What nobody wants any more, and nobody has begun, ends as skipped.
func TestWhatIsForgoneWasNeverBegun(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	for _, key := range []string{"wanted no more", "begun"} {
		if _, _, err := s.Intent(ctx, Action{Key: key, Kind: KindNotice}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Commit(ctx, "begun"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"wanted no more": Skipped, "begun": ""} {
		begun, err := s.Forgo(ctx, key, "it is back")
		if a, read := s.Action(ctx, key); err != nil || read != nil || a.Outcome != want || begun != a.Begun() {
			t.Errorf("%s: begun %v, %v; it is %+v, %v", key, begun, err, a, read)
		}
	}
}

// A message that surely did not leave in one try may leave in another one at that very moment.
func TestAMessageIsUnsentOnlyIfNoTryMayHaveSentIt(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	for _, c := range []struct {
		name, before, after string
		mayHaveLeft         bool
	}{
		{"the only try", "", Failed, false},
		{"another one sends it", Ambiguous, Ambiguous, true},
		{"another one has sent it", Sent, Sent, true},
	} {
		if _, _, err := s.Intent(ctx, Action{Key: c.name, Kind: KindNotice}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(ctx, c.name); err != nil {
			t.Fatal(err)
		}
		if c.before != "" {
			if _, err := s.TryAgain(ctx, c.name, "its worker ended"); err != nil {
				t.Fatal(err)
			}
		}
		if c.before == Sent {
			if err := s.Outcome(ctx, c.name, Sent, "250"); err != nil {
				t.Fatal(err)
			}
		}
		left, err := s.Unsent(ctx, c.name, "451")
		if a, read := s.Action(ctx, c.name); err != nil || read != nil || left != c.mayHaveLeft || a.Outcome != c.after {
			t.Errorf("%s: may have left %v, %v; it is %q, %v", c.name, left, err, a.Outcome, read)
		}
	}
}
