package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// The events that a host takes.
const (
	hostMessage uint8 = iota
	hostRequest
	hostTimer
	hostSynced
)

// host is a machine: it outlives its process, and has the disk and the clock.
type host struct {
	w      *World
	id     int
	name   string
	state  cluster.State
	life   uint32 // counts processes; what an earlier one began is void
	server Server
	env    *Env
	queue  []mail // what came while paused
	calls  []*Call
	disk   disk
	skew   cluster.Skew
	skewed time.Duration // since when
	rng    *rand.Rand
	log    []byte
}

type mail struct {
	kind    uint8
	a, life uint32
	p       any
}

func newHost(w *World, id int, name string) *host {
	h := &host{w: w, id: id, name: name, state: cluster.Dead}
	h.rng = stream(w.cfg.Seed, streamNode, uint64(id), 0)
	h.disk = disk{h: h, rng: stream(w.cfg.Seed, streamDisk, uint64(id), 0)}
	return h
}

func (h *host) start() {
	h.life++
	h.state = cluster.Running
	h.env = &Env{h: h, life: h.life}
	h.server = h.w.boot(h.env)
}

// kill ends the process: its timers, its queue and what it did not sync are
// gone, and the host resets its connections.
func (h *host) kill() {
	h.life++
	h.state = cluster.Dead
	h.server, h.env = nil, nil
	h.queue = nil
	h.disk.crash()
	calls := h.calls
	h.calls = nil
	for _, c := range calls {
		c.pos = -1
		c.answer(nil, errReset(h.name))
	}
}

// handle takes what arrives at the machine.
func (h *host) handle(kind uint8, a, life uint32, p any) {
	switch kind {
	case hostMessage:
		if h.w.link(int(a), h.id).stopped(parcel{h, kind, a, p}) {
			return
		}
	case hostRequest:
		c := p.(*Call)
		if c.c.cuttable && h.w.link(h.w.clientSide(), h.id).stopped(parcel{h, kind, a, p}) || !h.accept(c) {
			return
		}
	case hostSynced:
		h.disk.written(life)
		return
	}
	switch h.state {
	case cluster.Running:
		h.deliver(mail{kind, a, life, p})
	case cluster.Paused, cluster.Suspended:
		h.queue = append(h.queue, mail{kind, a, life, p})
	}
}

// deliver hands the process what is for it.
func (h *host) deliver(m mail) {
	switch m.kind {
	case hostMessage:
		if trace := h.w.cfg.Trace; trace != nil {
			trace(h.w.now, int(m.a), h.id, m.p)
		}
		h.server.Receive(int(m.a), m.p)
	case hostRequest:
		h.server.Request(m.p.(*Call))
	case hostTimer:
		if m.life == h.life {
			m.p.(func())()
		}
	}
}

// accept takes a call as far as the machine goes: where nobody listens it is
// refused, which proves that it had no effect.
func (h *host) accept(c *Call) bool {
	if h.state == cluster.Dead {
		c.answer(nil, errRefused(h.name))
		return false
	}
	c.pos = len(h.calls)
	h.calls = append(h.calls, c)
	return true
}

// release forgets a call that was answered.
func (h *host) release(c *Call) {
	last := len(h.calls) - 1
	h.calls[c.pos] = h.calls[last]
	h.calls[c.pos].pos = c.pos
	h.calls[last] = nil
	h.calls = h.calls[:last]
	c.pos = -1
}

// resume lets the process find all that came while it was stopped. It may die
// of something in it.
func (h *host) resume() {
	h.state = cluster.Running
	queue := h.queue
	h.queue = nil
	for _, m := range queue {
		if h.state == cluster.Running {
			h.deliver(m)
		}
	}
}

// processes is the power over the server processes.
type processes struct{ w *World }

// Kill implements cluster.Processes.
func (p processes) Kill(ctx context.Context, node string) error {
	h, err := p.w.host(node)
	if err != nil || h.state == cluster.Dead {
		return err
	}
	h.logf("killed")
	h.kill()
	return ctx.Err()
}

// Start implements cluster.Processes. It is a no-op if the process lives.
func (p processes) Start(ctx context.Context, node string) error {
	h, err := p.w.host(node)
	if err != nil || h.state != cluster.Dead {
		return err
	}
	if err := p.w.Sleep(ctx, p.w.cfg.Boot); err != nil {
		return fmt.Errorf("start %s: %w", node, err)
	}
	if h.state == cluster.Dead {
		h.logf("started")
		h.start()
	}
	return nil
}

// Stop implements cluster.Processes: a process that is told to end writes to
// disk what it has.
func (p processes) Stop(ctx context.Context, node string) error {
	h, err := p.w.host(node)
	if err != nil || h.state == cluster.Dead {
		return err
	}
	h.logf("stopped")
	h.disk.safe = len(h.disk.records)
	h.kill()
	return ctx.Err()
}

// Pause implements cluster.Processes.
func (p processes) Pause(ctx context.Context, node string) error {
	return p.halt(ctx, node, cluster.Paused)
}

// Resume implements cluster.Processes. It is a no-op if the process runs.
func (p processes) Resume(ctx context.Context, node string) error {
	return p.goOn(ctx, node, cluster.Paused)
}

// Suspend implements cluster.Processes.
func (p processes) Suspend(ctx context.Context, node string) error {
	return p.halt(ctx, node, cluster.Suspended)
}

// Continue implements cluster.Processes. It is a no-op if the process runs.
func (p processes) Continue(ctx context.Context, node string) error {
	return p.goOn(ctx, node, cluster.Suspended)
}

// halt freezes a process; a simulated one is all that is on its machine.
func (p processes) halt(ctx context.Context, node string, how cluster.State) error {
	h, err := p.w.host(node)
	switch {
	case err != nil:
		return err
	case h.state == cluster.Dead:
		return fmt.Errorf("halt %s: the process is dead", node)
	case h.state == cluster.Running:
		h.logf("%s", how)
		h.state = how
	}
	return ctx.Err()
}

func (p processes) goOn(ctx context.Context, node string, from cluster.State) error {
	h, err := p.w.host(node)
	switch {
	case err != nil:
		return err
	case h.state == cluster.Dead:
		return fmt.Errorf("resume %s: the process is dead", node)
	case h.state == from:
		h.logf("resumed")
		p.w.After(0, func() { h.resumeFrom(from) })
	}
	return p.w.pass(ctx)
}

// resumeFrom runs in the kernel, as all code of servers does.
func (h *host) resumeFrom(from cluster.State) {
	if h.state == from {
		h.resume()
	}
}

// State implements cluster.Processes.
func (p processes) State(ctx context.Context, node string) (cluster.State, error) {
	h, err := p.w.host(node)
	if err != nil {
		return "", err
	}
	if err := p.w.pass(ctx); err != nil {
		return "", fmt.Errorf("look at process of %s: %w", node, err)
	}
	return h.state, nil
}

var _ cluster.Processes = processes{}
