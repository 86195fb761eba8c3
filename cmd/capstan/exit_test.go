package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// exitText is the exit code that an error of os/exec tells of.
func exitText(err error) string {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return strconv.Itoa(e.ExitCode())
	}
	return err.Error()
}

func TestWorseCode(t *testing.T) {
	order := []int{exitValid, exitUnknown, exitData, exitInvalid}
	for i, a := range order {
		for j, b := range order {
			if got := worseCode(a, b); got != order[max(i, j)] {
				t.Errorf("worseCode(%d, %d) = %d", a, b, got)
			}
		}
	}
}

func TestErrorsWithoutCodeAreUsage(t *testing.T) {
	if withCode(exitBug, nil) != nil {
		t.Error("no error became one")
	}
	var e *exitError
	if err := fmt.Errorf("wrapped: %w", withCode(exitData, errors.New("x"))); !errors.As(err, &e) || e.code != exitData {
		t.Errorf("code lost: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A result that nobody could read is no success.
func TestLostOutput(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"plan"}, {"version"}} {
		var errs strings.Builder
		if code := execute(args, full{}, &errs); code != exitEnvironment || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%v: exit %d, %s", args, code, errs.String())
		}
	}
}
