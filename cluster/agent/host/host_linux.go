package host

import (
	"context"
	"errors"
	"sync"

	"github.com/capstan-dev/capstan/cluster/agent"
)

// Host is the agent's part.
type Host struct {
	clocks *clocks
	disks  *disks

	mu        sync.Mutex
	suspended map[string]bool // containers whose server process we stopped
}

// New makes the part.
func New() *Host {
	return &Host{clocks: newClocks(), disks: newDisks(), suspended: map[string]bool{}}
}

// Verbs implements agent.Part.
func (h *Host) Verbs() map[string]agent.Verb {
	return map[string]agent.Verb{
		VerbProcess:  agent.Do(h.process),
		VerbSuspend:  agent.Do(h.suspend),
		VerbContinue: agent.Do(h.resume),
		VerbSkew:     agent.Do(h.clocks.skew),
		VerbClock:    agent.Do(h.clocks.read),
		VerbMount:    agent.Do(h.disks.mount),
		VerbDisk:     agent.Do(h.disks.set),
		VerbCrash:    agent.Do(h.disks.crash),
		VerbWipe:     agent.Do(h.disks.wipe),
		VerbDamage:   agent.Do(h.disks.damage),
		VerbProbe:    agent.Do(h.disks.probe),
	}
}

var _ agent.Part = (*Host)(nil)

// Heal implements agent.Part: stopped processes go on, clocks are true and
// disks sound. Volumes stay mounted for the servers that use them.
func (h *Host) Heal() error {
	ctx := context.Background()
	h.mu.Lock()
	var stopped []string
	for c := range h.suspended {
		stopped = append(stopped, c)
	}
	h.mu.Unlock()
	var errs []error
	for _, c := range stopped {
		_, err := h.resume(ctx, Container{c})
		errs = append(errs, err)
	}
	return errors.Join(append(errs, h.clocks.heal(), h.disks.heal())...)
}

// Close takes the volumes' mounts away, with which their servers lose their
// disks.
func (h *Host) Close() error { return h.disks.close() }
