//go:build !unix

package main

import (
	"os"
	"syscall"
)

func ownSession() *syscall.SysProcAttr { return nil }

func resized() <-chan os.Signal { return nil }
