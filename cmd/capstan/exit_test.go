package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
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
