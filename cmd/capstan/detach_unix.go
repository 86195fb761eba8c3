//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// ownSession keeps a child alive when this terminal ends, and its signals away
// from it.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// resized delivers something whenever the terminal has another size.
func resized() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c
}
