//go:build !linux

package host

import (
	"github.com/capstan-dev/capstan/cluster/agent"
)

type nothing struct{}

// New makes a part that can do nothing: containers run on Linux.
func New() agent.Part { return nothing{} }

// Verbs implements agent.Part.
func (nothing) Verbs() map[string]agent.Verb { return nil }

// Heal implements agent.Part.
func (nothing) Heal() error { return nil }
