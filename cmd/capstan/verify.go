package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
	"github.com/spf13/cobra"
)

// certifying runs a check that writes certificates to a file, if one is given.
func (a *app) certifying(file string, histories []string, o checkOptions, check func(checkOptions) error) error {
	if file == "" {
		return check(o)
	}
	if len(histories) != 1 {
		return usage("--certificate goes with one history, not %d", len(histories))
	}
	f, err := os.Create(file)
	if err != nil {
		return withCode(exitData, fmt.Errorf("create certificate: %w", err))
	}
	w := bufio.NewWriter(f)
	o.certificates = w
	err = check(o)
	if werr := errors.Join(w.Flush(), f.Close()); werr != nil {
		return withCode(exitData, fmt.Errorf("write certificate: %w", werr))
	}
	return err
}

func (a *app) verifyCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "verify HISTORY CERTIFICATE",
		Short: "Follow the linearizations that check --certificate wrote",
		Long: `Replays each key's linearization: every acknowledged operation that says something is in it once, in
an order that real time allows, and the object answers each as recorded. It
takes one pass and shares no code with the deciders. Give the same --model and
options as to check.`,
		Example: `  capstan check --model cas-register --certificate proof.jsonl history.edn
  capstan verify --model cas-register history.edn proof.jsonl`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate("4GiB"); err != nil {
				return err
			}
			return a.verify(a.stop, args[0], args[1], o)
		},
	}
	cmd.Flags().StringVar(&o.model, "model", "", "`MODEL` that the certificate is for")
	o.meaning(cmd.Flags())
	o.timeout = 1 // unused, but a check without one is refused
	return cmd
}

func (a *app) verify(ctx context.Context, path, certificate string, o checkOptions) error {
	if dir, ok := runDirOf(path); ok {
		path = dir + "/history.jsonl"
	}
	h, _, err := history.Open(path)
	if err != nil {
		return withCode(exitData, err)
	}
	if o.model == "" {
		if o.model, err = suggestModel(h); err != nil {
			return withCode(exitData, err)
		}
	}
	f, err := os.Open(certificate)
	if err != nil {
		return withCode(exitData, err)
	}
	defer f.Close()
	keys, ops, err := linear.Follow(ctx, o.model, o.linear(), h, bufio.NewReader(f))
	if err != nil {
		return &exitError{code: exitInvalid, err: fmt.Errorf("%s: %w", certificate, err)}
	}
	fmt.Fprintf(a.out, "%s\tverified\t%d operations on %d keys\n", certificate, ops, keys)
	return nil
}
