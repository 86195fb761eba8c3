package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Env is all that a process has of the world. It dies with the process: what
// a dead one still tries does nothing.
type Env struct {
	h    *host
	life uint32
}

func (e *Env) alive() bool { return e.life == e.h.life && e.h.state != cluster.Dead }

// ID is the index of the node, Size the number of nodes.
func (e *Env) ID() int { return e.h.id }

// Size is the number of nodes.
func (e *Env) Size() int { return len(e.h.w.hosts) }

// Name gives a node's name.
func (e *Env) Name(id int) string { return e.h.w.cfg.Nodes[id] }

// Life tells the processes of a node apart; later ones have greater numbers.
func (e *Env) Life() uint32 { return e.life }

// Now is the monotonic time.
func (e *Env) Now() time.Duration { return e.h.w.now }

// Clock is the wall clock of the node, which may be wrong.
func (e *Env) Clock() time.Time { return epoch().Add(e.h.w.now + e.h.offset()) }

// Rand is the node's own stream.
func (e *Env) Rand() *rand.Rand { return e.h.rng }

// After runs f in d of monotonic time, or later if the process is paused then.
func (e *Env) After(d time.Duration, f func()) Timer {
	if !e.alive() {
		return Timer{}
	}
	return e.h.w.post(e.h.w.now+max(d, 0), e.h, hostTimer, 0, e.life, f)
}

// Send puts a message to another node on its way. Nobody may change it then.
func (e *Env) Send(to int, msg any) {
	if e.alive() && to != e.h.id {
		e.h.w.send(e.h.id, to, msg)
	}
}

// Append writes a record to the disk, where it is safe after a Sync only.
func (e *Env) Append(record any) {
	if e.alive() {
		e.h.disk.append(record)
	}
}

// Sync calls done when all that was written before is safe.
func (e *Env) Sync(done func()) {
	if e.alive() {
		e.h.disk.sync(done)
	}
}

// Records is what the disk held when the process started, oldest first.
func (e *Env) Records() []any { return e.h.disk.durable() }

// Logf writes a line to the node's log.
func (e *Env) Logf(format string, args ...any) {
	if e.alive() {
		e.h.logf(format, args...)
	}
}

// Crash ends the process by its own doing, as a panic does. The machine starts
// it again after a while, unless somebody else does before.
func (e *Env) Crash(reason string) {
	if !e.alive() {
		return
	}
	h := e.h
	h.logf("crashed: %s", reason)
	h.kill()
	life := h.life
	h.w.After(restartAfter, func() {
		if h.life == life {
			h.logf("started again")
			h.start()
		}
	})
}

// restartAfter is how long a machine waits to start a process that crashed.
const restartAfter = time.Second

func (h *host) logf(format string, args ...any) {
	h.log = fmt.Appendf(h.log, "%12.6f %s ", h.w.now.Seconds(), h.name)
	h.log = fmt.Appendf(h.log, format, args...)
	h.log = append(h.log, '\n')
}
