//go:build !linux

package docker

import (
	"errors"
	"os"
	"syscall"
)

// bootID is not known here. A run that a reboot ended is found by its dead
// process then.
func bootID() string { return "" }

func pidNamespace() string { return "" }

// startTime only tells whether there is such a process: a run whose pid was
// given to another process stays until it is cleaned by hand.
func startTime(pid int) string {
	p, err := os.FindProcess(pid)
	if err != nil {
		return ""
	}
	err = p.Signal(syscall.Signal(0))
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return ""
	}
	return "running"
}
