package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/store"
)

// bootTestView is what the table of sequences makes of a log.
type bootTestView struct {
	File     string `json:"file"`
	Sequence string `json:"sequence"`
	Known    bool   `json:"known"`
	Action   string `json:"action,omitempty"`
	Does     string `json:"does,omitempty"`
	Owner    string `json:"owner,omitempty"` // who said so
	Cut      bool   `json:"cut"`
}

// noStep is the sequence of a text in which no step of a BootManager is.
const noStep = "done"

func (a *app) bootSequencesTest() *cobra.Command {
	var shipped bool
	cmd := &cobra.Command{
		Use: "test FILE", Short: "Try a BootManager's log against the table of sequences", Args: takes("FILE"),
		Long: "Try a BootManager's log against the table of sequences: which sequence it is, and what would be done on a node with it.\n" +
			"Nothing is done. A sequence that the table lacks ends with 3, and says how to teach it. With - the log is read from\n" +
			"the standard input; with --shipped the table is the one that Monitor came with, and no database is asked.",
		Example: "  monitor bootman sequences test bm.log\n  monitor bootman sequences test bm.log --shipped",
		RunE: func(cmd *cobra.Command, args []string) error {
			log, cut, err := a.readBootLog(args[0])
			if err != nil {
				return err
			}
			namer, err := bootman.NewNamer()
			if err != nil {
				return err
			}
			v := bootTestView{File: args[0], Sequence: namer.Sequence(log), Cut: cut}
			if shipped {
				seed, err := bootman.Seed()
				if err != nil {
					return err
				}
				if i := slices.IndexFunc(seed, func(k bootman.Known) bool { return k.Sequence == v.Sequence }); i >= 0 {
					v.knows(string(seed[i].Action), "shipped")
				}
				return a.showBootTest(v)
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				s, err := db.BootSequence(ctx, v.Sequence)
				switch {
				case err == nil:
					v.knows(s.Action, s.Owner)
				case !errors.Is(err, store.ErrNotFound):
					return err
				}
				return a.showBootTest(v)
			})
		},
	}
	cmd.Flags().BoolVar(&shipped, "shipped", false, "ask the table that Monitor came with, and no database")
	return cmd
}

func (v *bootTestView) knows(action, owner string) {
	v.Known, v.Action, v.Owner, v.Does = true, action, owner, bootman.Action(action).About()
}

// showBootTest shows what came out, and fails when the table does not know the sequence.
func (a *app) showBootTest(v bootTestView) error {
	if err := a.show(v, func() {
		a.facts(row{"file", v.File}, row{"sequence", v.Sequence}, row{"action", v.Action}, row{"does", v.Does},
			row{"by", v.Owner}, row{"cut", cutNote(v.Cut)})
	}); err != nil {
		return err
	}
	switch {
	case v.Known:
		return nil
	case v.Sequence == noStep:
		return notFound("no step of a BootManager is in %s", v.File)
	}
	return notFound("nobody has met this sequence: `monitor bootman sequences set %s ACTION` teaches it", v.Sequence)
}

// readBootLog reads a log from a file, or from the standard input, as far as logs are read; nothing secret is in it.
func (a *app) readBootLog(name string) (log []byte, cut bool, err error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, false, badInput("%w", err)
		}
		defer f.Close()
		in = f
	}
	if log, err = io.ReadAll(io.LimitReader(in, bootman.MaxOutput+1)); err != nil {
		return nil, false, badInput("%w", fmt.Errorf("%s: %w", name, err))
	}
	cut = len(log) > bootman.MaxOutput
	return bootman.Redact(log[:min(len(log), bootman.MaxOutput)]), cut, nil
}
