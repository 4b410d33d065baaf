package main

import (
	"testing"

	"github.com/planetlab/monitor/store"
)

func TestWhatAPCUHasShownIsForgotten(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx := t.Context()
	if err := db.PinPCU(ctx, 5, store.HostKey, "ssh-ed25519 AAAA"); err != nil {
		t.Fatal(err)
	}
	got := call(ctx, "pcu", "forget", "pcu1.princeton.example")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "pcu1.princeton.example may show itself anew")
	if pins, err := db.PCUPins(ctx, 5); err != nil || len(pins) != 0 {
		t.Errorf("kept are %v, %v", pins, err)
	}
	got = call(ctx, "pcu", "forget", "pcu1.princeton.example", "-o", "json")
	wantCode(t, got, exitOK)
	if v := wantStable(t, got.out).(map[string]any); v["forgotten"] != 0.0 {
		t.Errorf("the second time answers %v", v)
	}
	got = call(ctx, "pcu", "forget", "pcu9.princeton.example")
	wantCode(t, got, exitNotFound)
	wantIn(t, got.err, "no PCU pcu9.princeton.example is known")
}
