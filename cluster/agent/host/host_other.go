//go:build !linux

package host

import (
	"github.com/capstan-dev/capstan/cluster/agent"
)

// Host can do nothing here: containers run on Linux.
type Host struct{}

// New makes the part.
func New() *Host { return &Host{} }

// Close implements io.Closer.
func (*Host) Close() error { return nil }

// Verbs implements agent.Part.
func (*Host) Verbs() map[string]agent.Verb { return nil }

// Heal implements agent.Part.
func (*Host) Heal() error { return nil }
