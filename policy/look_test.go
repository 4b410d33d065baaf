package policy

import (
	"strings"
	"testing"
)

func TestALookIsACategoryAndAState(t *testing.T) {
	open := map[int]string{22: PortOpen, 80: PortOpen, 806: PortOpen}
	ports := func(port int, state string) map[int]string {
		out := map[int]string{22: PortOpen, 80: PortOpen, 806: PortOpen}
		out[port] = state
		return out
	}
	uname := func(release string) string {
		return "Linux planetlab1.princeton.example " + release + " #1 SMP i686 GNU/Linux"
	}
	for name, c := range map[string]struct {
		look     NodeLook
		category string
		state    string
		firewall bool
	}{
		"no ssh is down": {NodeLook{SSHFailure: "refused", Ports: open}, CategoryError, StateDown, false},
		"no ssh is down, though debug mode was seen": {NodeLook{BootManager: true}, CategoryError, StateDown, false},
		"a 2.4 kernel is an old boot CD": {NodeLook{SSH: true, Kernel: uname("2.4.29"), Ports: open},
			CategoryOldBootCD, StateDebug, false},
		"a 2.6.8 kernel is an old boot CD": {NodeLook{SSH: true, Kernel: uname("2.6.8-1.521"), Ports: open},
			CategoryOldBootCD, StateDebug, false},
		"a bare 2.6.8 kernel is one, too": {NodeLook{SSH: true, Kernel: uname("2.6.8"), Ports: open},
			CategoryOldBootCD, StateDebug, false},
		"2.6.80 is another kernel": {NodeLook{SSH: true, Kernel: uname("2.6.80"), Ports: open},
			CategoryUnknown, StateBoot, false},
		"a node in production booted from a v2 CD": {NodeLook{SSH: true, Kernel: uname("4.19.110"),
			BootCD: "PlanetLab BootCD v2.0.3", Ports: open}, CategoryOldBootCD, StateBoot, false},
		"a node in debug mode from a v2 CD": {NodeLook{SSH: true, Kernel: uname("4.19.110"),
			BootCD: "PlanetLab BootCD v2.0.3", BootManager: true}, CategoryOldBootCD, StateDebug, false},
		"a v2 CD and port 80 filtered: a firewall": {NodeLook{SSH: true, Kernel: uname("4.19.110"), BootCD: "v2",
			Ports: ports(80, PortFiltered)}, CategoryOldBootCD, StateDown, true},
		"a boot CD of v3 is not": {NodeLook{SSH: true, Kernel: uname("4.19.110"),
			BootCD: "PlanetLab BootCD v3.3", Ports: open}, CategoryProd, StateBoot, false},
		"an old boot CD wins over an old kernel": {NodeLook{SSH: true, Kernel: uname("2.6.12-1"), BootCD: "v2",
			Ports: open}, CategoryOldBootCD, StateBoot, false},
		"2.6.10 is too old for the release": {NodeLook{SSH: true, Kernel: uname("2.6.10"), Ports: open},
			CategoryOldProd, StateBoot, false},
		"2.6.12 is too old for the release": {NodeLook{SSH: true, Kernel: uname("2.6.12-1.1398_FC4.5.planetlab"),
			Ports: open}, CategoryOldProd, StateBoot, false},
		"2.6.12 with the BootManager is in debug": {NodeLook{SSH: true, Kernel: uname("2.6.12-1"), BootManager: true},
			CategoryOldProd, StateDebug, false},
		"a current kernel runs": {NodeLook{SSH: true, Kernel: uname("2.6.22.19-vs2.3.0.34"),
			Ports: open}, CategoryProd, StateBoot, false},
		"a kernel of today runs": {NodeLook{SSH: true, Kernel: uname("6.1.0-13-amd64"), Ports: open},
			CategoryProd, StateBoot, false},
		"a current kernel with the BootManager": {NodeLook{SSH: true, Kernel: uname("4.19.110"), BootManager: true},
			CategoryProd, StateDebug, false},
		"debug mode needs no port but ssh": {NodeLook{SSH: true, Kernel: uname("4.19.110"), BootManager: true,
			Ports: ports(80, PortFiltered)}, CategoryProd, StateDebug, false},
		"any other kernel is unknown and runs": {NodeLook{SSH: true, Kernel: uname("2.6.16"), Ports: open},
			CategoryUnknown, StateBoot, false},
		"any other kernel with the BootManager": {NodeLook{SSH: true, Kernel: "", BootManager: true}, CategoryUnknown,
			StateDebug, false},
		"port 22 closed, in by 806: a firewall": {NodeLook{SSH: true, Kernel: uname("4.19.110"),
			Ports: ports(22, PortClosed)}, CategoryProd, StateDown, true},
		"port 80 filtered: a firewall": {NodeLook{SSH: true, Kernel: uname("4.19.110"),
			Ports: ports(80, PortFiltered)}, CategoryProd, StateDown, true},
		"port 806 filtered: a firewall": {NodeLook{SSH: true, Kernel: uname("2.6.12-1"),
			Ports: ports(806, PortFiltered)}, CategoryOldProd, StateDown, true},
		"a port not looked at is not open": {NodeLook{SSH: true, Kernel: uname("2.6.16"),
			Ports: map[int]string{22: PortOpen, 80: PortOpen}}, CategoryUnknown, StateDown, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := InferNode(numbers.Kernels, c.look)
			if f.Category != c.category || f.State != c.state || f.Firewall != c.firewall {
				t.Errorf("is %s, %s, firewall %v; want %s, %s, %v", f.Category, f.State, f.Firewall, c.category,
					c.state, c.firewall)
			}
			if f.Reason == "" {
				t.Error("says nothing")
			}
		})
	}
}

func TestOnlyANodeThatNothingAnswersForIsDark(t *testing.T) {
	for failure, locked := range map[string]bool{
		"": false, "no route": false, "refused": false, "timeout": false,
		"key denied": true, "host key changed": true, "protocol error": true, "hang after authentication": true,
	} {
		f := InferNode(numbers.Kernels, NodeLook{SSHFailure: failure})
		if f.State != StateDown || f.Category != CategoryError || f.Locked != locked || f.Alive() != locked {
			t.Errorf("%q is %+v", failure, f)
		}
		if _, seen := Symptoms(NodeLook{SSHFailure: failure}, f, nil, now)[SymptomNodeConfig]; seen != locked {
			t.Errorf("%q is a trouble: %v", failure, seen)
		}
	}
	for name, f := range map[string]Finding{"in debug mode": {State: StateDebug}, "that runs": {State: StateBoot},
		"behind a firewall": {State: StateDown, Firewall: true}} {
		if !f.Alive() {
			t.Errorf("a node %s is dark", name)
		}
	}
}

func TestAnExpressionThatDoesNotCompileMatchesNothing(t *testing.T) {
	f := InferNode(Kernels{OldBootCD: []string{"("}, Current: []string{"x"}},
		NodeLook{SSH: true, Kernel: "x (", Ports: map[int]string{22: PortOpen, 80: PortOpen, 806: PortOpen}})
	if f.Category != CategoryProd {
		t.Errorf("is %s", f.Category)
	}
}

func TestTheReasonSaysWhatWasSeen(t *testing.T) {
	for want, l := range map[string]NodeLook{
		"no ssh: key denied": {SSHFailure: "key denied"},
		"no ssh: no answer":  {},
		"runs, but port 80 is filtered": {SSH: true, Kernel: "Linux h 4.19.1 x",
			Ports: map[int]string{22: PortOpen, 80: PortFiltered}},
		"runs, but port 806 is not looked at": {SSH: true, Kernel: "Linux h 4.19.1 x",
			Ports: map[int]string{22: PortOpen, 80: PortOpen}},
		`debug, kernel "4.19.1"`: {SSH: true, Kernel: "Linux h 4.19.1 x", BootManager: true},
		`boot, kernel "odd"`: {SSH: true, Kernel: "odd",
			Ports: map[int]string{22: PortOpen, 80: PortOpen, 806: PortOpen}},
	} {
		if got := InferNode(numbers.Kernels, l).Reason; got != want {
			t.Errorf("says %q, want %q", got, want)
		}
	}
}

func TestTroublesKeepTheirTimeWhileTheyLast(t *testing.T) {
	look := NodeLook{SSH: true, ReadOnly: []string{"/boot", "/"}, Name: NameMismatch}
	first := Symptoms(look, Finding{State: StateBoot}, nil, ago(3))
	if len(first) != 2 || !first[SymptomFilesystem].Since.Equal(ago(3)) || !first[SymptomDNSError].Since.Equal(ago(3)) {
		t.Fatalf("the first look sees %+v", first)
	}
	if r := first[SymptomFilesystem].Reason; r != "mounted read-only: /" {
		t.Errorf("a boot partition that is read-only on purpose is told of: %q", r)
	}
	look.Name = "ok"
	second := Symptoms(look, Finding{State: StateBoot}, first, ago(1))
	if len(second) != 1 || !second[SymptomFilesystem].Since.Equal(ago(3)) {
		t.Errorf("the second look sees %+v", second)
	}
	look.Name = NameMissing
	if third := Symptoms(look, Finding{State: StateBoot}, second, now); !third[SymptomDNSError].Since.Equal(now) {
		t.Errorf("a trouble that was gone in between is as old as %s", third[SymptomDNSError].Since)
	}
}

func TestWhatIsNoTrouble(t *testing.T) {
	for name, l := range map[string]NodeLook{
		"a name that could not be asked for": {SSH: true, Name: "not asked: timeout"},
		"a name that is right":               {SSH: true, Name: "ok", Resolves: "ok"},
		"a read-only boot partition": {SSH: true,
			ReadOnly: []string{"/boot", "/mnt/data"}},
		"what a node that let nobody in would say of its resolver": {Resolves: ResolvesNot},
	} {
		if got := Symptoms(l, Finding{State: StateBoot}, nil, now); len(got) != 0 {
			t.Errorf("%s is %+v", name, got)
		}
	}
	if got := Symptoms(NodeLook{SSH: true, Resolves: ResolvesNot, BootServer: "boot.example"}, Finding{}, nil,
		now)[SymptomDNSError].Reason; !strings.Contains(got, "boot.example") {
		t.Errorf("a node that cannot resolve its boot server is %q", got)
	}
}
