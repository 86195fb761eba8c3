package main

import (
	"bufio"
	"fmt"
	"path/filepath"

	"github.com/capstan-dev/capstan/history"
	"github.com/spf13/cobra"
)

func (a *app) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE|DIR",
		Short: "Print a history as Jepsen's EDN, for other checkers",
		Args:  maxArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("export needs a history or a run directory")
			}
			path := args[0]
			if dir, ok := runDirOf(path); ok {
				path = filepath.Join(dir, "history.jsonl")
			}
			h, _, err := history.Open(path)
			if h == nil {
				return withCode(exitData, err)
			}
			w := bufio.NewWriter(a.out)
			if werr := history.WriteEDN(w, h); werr != nil {
				return withCode(exitData, fmt.Errorf("export %s: %w", path, werr))
			}
			if werr := w.Flush(); werr != nil {
				return withCode(exitData, fmt.Errorf("export %s: %w", path, werr))
			}
			return withCode(exitData, err) // a prefix was exported, and is told as such
		},
	}
}
