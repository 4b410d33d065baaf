package bootman

import (
	"slices"
	"testing"
)

// A boot fails for its first trouble, and what is said of it must be that one.
func TestFaultOf(t *testing.T) {
	for sequence, want := range map[string]Fault{
		"bminit-cfg-auth-bootcheckfail-nonode-exception-update-bootupdatefail-nonode-debug-done":          NotKnown,
		"bminit-cfg-auth-authfail2-nonode-debug-done":                                                     NotKnown,
		"bminit-cfg-exception-nocfg-update-bootupdatefail-nonode-debug-done":                              NoConfig,
		"bminit-cfg-exception-noconfig-debug-validate-exception-done":                                     NoConfig,
		"bminit-cfg-auth-authfail2-authfail-debug-done":                                                   KeyRefused,
		"bminit-cfg-auth-authfail2-protoerror2-debug-done":                                                PLCFails,
		"bminit-cfg-auth-protoerror-exception-update-bootupdatefail-authfail-debug-done":                  PLCFails,
		"bminit-cfg-exception-nodehostname-update-debug-done":                                             OtherFault,
		"bminit-cfg-auth-getplc-installinit-validate-exception-fsckfail-exception-update-protoerror-done": OtherFault,
		"bminit-cfg-auth-implementerror-bootcheckfail-dnserror-update-done":                               OtherFault,
		"bminit-cfg-auth-getplc-update-debug-done":                                                        NoFaultSeen,
		"done": NoFaultSeen,
		"":     NoFaultSeen,
	} {
		if got := FaultOf(sequence); got != want {
			t.Errorf("%q fails at %q, want %q", sequence, got, want)
		}
	}
	known, err := Seed()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range known { // what PLC has done is never told as trouble of the network
		plcs := slices.Contains([]Fault{NotKnown, KeyRefused, PLCFails}, FaultOf(k.Sequence))
		if k.Action == RepairNodeKeys && !plcs || k.Action == NodeNetworkEmail && plcs {
			t.Errorf("%s calls for %s and fails at %q", k.Sequence, k.Action, FaultOf(k.Sequence))
		}
		if k.Action == NodeConfigNotice && FaultOf(k.Sequence) == OtherFault {
			t.Errorf("%s calls for %s and has no words of its own", k.Sequence, k.Action)
		}
	}
}
