package main

import (
	"os"
	"testing"

	"github.com/capstan-dev/capstan/internal/require"
	"github.com/rogpeppe/go-internal/testscript"
)

// withAgent runs the tests with a program for the agents in containers.
type withAgent struct{ m *testing.M }

func (w withAgent) Run() int { return require.WithAgent(w.m) }

func TestMain(m *testing.M) {
	testscript.Main(withAgent{m}, map[string]func(){
		"capstan": func() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts plays the transcripts in testdata: the command line as its
// users see it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
	})
}

// code N COMMAND...: the command ends with exit code N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND ARG...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = exitText(err)
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}
