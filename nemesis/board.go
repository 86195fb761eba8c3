package nemesis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Board holds what all faults in force want of a cluster, one share for each
// owner, and makes the cluster be as they want together. It may be used from
// any task; changes of one area of the cluster (its links, processes, clocks,
// disks or limits) come one after another.
type Board struct {
	c  *cluster.Cluster
	rt cluster.Runtime

	mu     sync.Mutex // never held while a task waits
	shares map[int]*share
	busy   [areas]bool
	fates  map[string]Fate          // as last driven
	usual  map[string]cluster.Usage // of nodes, before they were limited
	late   map[string]time.Duration // how long the last change of a clock took
}

// share is what one owner wants.
type share struct {
	want    Want
	since   time.Duration
	touched touched // by all that it wanted so far
	lapsed  error   // ended before its time
}

// area is a part of the cluster that is changed and measured by itself.
type area int

const (
	areaLinks area = iota
	areaProcs
	areaClocks
	areaDisks
	areaLimits
	areas
)

// NewBoard makes a board on which nothing is wanted.
func NewBoard(c *cluster.Cluster, rt cluster.Runtime) *Board {
	return &Board{c: c, rt: rt, shares: map[int]*share{}, fates: map[string]Fate{}, usual: map[string]cluster.Usage{}, late: map[string]time.Duration{}}
}

// Want is what all shares come to now.
func (b *Board) Want() Want {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.want()
}

func (b *Board) want() Want {
	now := b.rt.Now()
	var all []Want
	for _, id := range slices.Sorted(maps.Keys(b.shares)) {
		s := b.shares[id]
		all = append(all, s.want.later(now-s.since))
	}
	return Merge(all...)
}

// Set makes w the share of an owner, instead of what it wanted before, and
// drives the cluster to what all shares come to now. It only acts on what the
// owner wants or wanted, and it may be called again after an error.
func (b *Board) Set(ctx context.Context, owner int, w Want) error {
	b.mu.Lock()
	s := b.shares[owner]
	if s == nil {
		s = &share{}
		b.shares[owner] = s
	}
	t := s.touched.and(w.touches())
	b.mu.Unlock()
	held := t.areas()
	if err := b.lock(ctx, held); err != nil {
		return err
	}
	defer b.unlock(held)
	b.mu.Lock()
	var cutters []*share
	for _, o := range b.shares {
		if len(o.want.touches().links) > 0 {
			cutters = append(cutters, o)
		}
	}
	s.want, s.since, s.touched = w, b.rt.Now(), t
	all := b.want()
	b.mu.Unlock()
	return b.drive(ctx, t, all, cutters)
}

// Release takes an owner's share away. The board still knows what it touched,
// until Forget.
func (b *Board) Release(ctx context.Context, owner int) error { return b.Set(ctx, owner, Want{}) }

// Forget is for an owner that was healed.
func (b *Board) Forget(owner int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.shares, owner)
}

// Lapsed says whether the owner's share ended before its time.
func (b *Board) Lapsed(owner int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.shares[owner]; s != nil {
		return s.lapsed
	}
	return nil
}

// touching is what the owner has touched so far.
func (b *Board) touching(owner int) touched {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.shares[owner]; s != nil {
		return s.touched
	}
	return touched{}
}

func (t touched) areas() []area {
	var all []area
	for a, n := range [areas]int{len(t.links), len(t.procs), len(t.clocks), len(t.disks), len(t.limit)} {
		if n > 0 {
			all = append(all, area(a))
		}
	}
	return all
}

// pollLock is how long a task sleeps between two looks at an area that another
// one holds: a simulation has no other way to wait.
const pollLock = time.Millisecond

// lock takes areas, always in the same order.
func (b *Board) lock(ctx context.Context, held []area) error {
	for i, a := range held {
		for !b.take(a) {
			if err := b.rt.Sleep(ctx, pollLock); err != nil {
				b.unlock(held[:i])
				return fmt.Errorf("wait for another fault: %w", err)
			}
		}
	}
	return nil
}

func (b *Board) take(a area) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy[a] {
		return false
	}
	b.busy[a] = true
	return true
}

func (b *Board) unlock(held []area) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range held {
		b.busy[a] = false
	}
}

// drive makes what is touched be as all want it. It goes on after errors.
// Disks and limits come before processes, which may need them to start.
// cutters are the shares that the state of links before was for.
func (b *Board) drive(ctx context.Context, t touched, all Want, cutters []*share) error {
	var errs []error
	if len(t.links) > 0 {
		errs = append(errs, b.driveLinks(ctx, all.Links, cutters))
	}
	for _, n := range t.disks {
		if err := b.c.Disks.Apply(ctx, n, all.Disks[n]); err != nil {
			errs = append(errs, fmt.Errorf("change the disk of %s: %w", n, err))
		}
	}
	for _, n := range t.limit {
		errs = append(errs, b.driveLimits(ctx, n, all.Limits[n]))
	}
	for _, n := range t.procs {
		errs = append(errs, b.driveProcess(ctx, n, all.Procs[n]))
	}
	for _, n := range t.clocks {
		errs = append(errs, b.driveClock(ctx, n))
	}
	return errors.Join(errs...)
}

// driveLinks applies the state of all links. That the one before had ended too
// early concerns the faults that wanted it.
func (b *Board) driveLinks(ctx context.Context, state cluster.LinkState, cutters []*share) error {
	err := b.c.Net.Apply(ctx, state)
	if errors.Is(err, cluster.ErrLapsed) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range cutters {
			s.lapsed = err
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("apply link state: %w", err)
	}
	return nil
}

// driveClock sets a clock to what all want of it at this moment, and notes how
// long that took: a clock that drifts may be as much behind.
func (b *Board) driveClock(ctx context.Context, node string) error {
	began := b.rt.Now()
	if err := b.c.Clocks.Skew(ctx, node, b.Want().Clocks[node]); err != nil {
		return fmt.Errorf("set the clock of %s: %w", node, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late[node] = b.rt.Now() - began
	return nil
}

// clock is how far a node's clock should be off now. It may be less by what it
// gained, or lost, while it was being set.
func (b *Board) clock(node string) (want, less time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.want().Clocks[node]
	return s.Offset, time.Duration(s.Drift * float64(b.late[node]))
}

func (b *Board) driveLimits(ctx context.Context, node string, l cluster.Limits) error {
	if err := b.c.Limits.Limit(ctx, node, l); err != nil {
		return fmt.Errorf("limit %s: %w", node, err)
	}
	return nil
}

// driveProcess brings a process to its fate, from whatever state it is in.
func (b *Board) driveProcess(ctx context.Context, node string, want Fate) error {
	p := b.c.Procs
	is, err := p.State(ctx, node)
	if err != nil {
		return fmt.Errorf("look at the process of %s: %w", node, err)
	}
	b.mu.Lock()
	was := b.fates[node]
	b.mu.Unlock()
	if is == want.State() && !(want == Crashed && was != Crashed) {
		b.setFate(node, want)
		return nil
	}
	// A process is killed as it stands; for everything else it runs first.
	if want < Killed {
		if err := wakeUp(ctx, p, node, is); err != nil {
			return fmt.Errorf("revive %s: %w", node, err)
		}
	}
	if err := b.meet(ctx, node, want); err != nil {
		return fmt.Errorf("make %s be %s: %w", node, want.State(), err)
	}
	b.setFate(node, want)
	return nil
}

// revive starts the servers on some nodes again that have died without being
// told to, as of a disk that failed, and says which.
func (b *Board) revive(ctx context.Context, nodes []string) ([]string, error) {
	if b.c.Procs == nil || len(nodes) == 0 {
		return nil, nil
	}
	held := []area{areaProcs}
	if err := b.lock(ctx, held); err != nil {
		return nil, err
	}
	defer b.unlock(held)
	var revived []string
	for _, n := range nodes {
		if b.Want().Procs[n] != Run {
			continue
		}
		is, err := b.c.Procs.State(ctx, n)
		if err != nil {
			return revived, fmt.Errorf("look at the process of %s: %w", n, err)
		}
		if is != cluster.Dead {
			continue
		}
		if err := b.c.Procs.Start(ctx, n); err != nil {
			return revived, fmt.Errorf("start %s, which had died: %w", n, err)
		}
		revived = append(revived, n)
	}
	return revived, nil
}

func (b *Board) setFate(node string, f Fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates[node] = f
}

// wakeUp makes a process run that is in some state.
func wakeUp(ctx context.Context, p cluster.Processes, node string, is cluster.State) error {
	switch is {
	case cluster.Paused:
		return p.Resume(ctx, node)
	case cluster.Suspended:
		return p.Continue(ctx, node)
	case cluster.Dead:
		return p.Start(ctx, node)
	}
	return nil
}

func (b *Board) meet(ctx context.Context, node string, want Fate) error {
	switch want {
	case Suspended:
		return b.c.Procs.Suspend(ctx, node)
	case Paused:
		return b.c.Procs.Pause(ctx, node)
	case Stopped:
		return b.c.Procs.Stop(ctx, node)
	case Killed:
		return b.c.Procs.Kill(ctx, node)
	case Crashed:
		return b.c.Disks.Crash(ctx, node)
	}
	return nil
}

// HealAll drops every share and brings the cluster back whatever was done to
// it: links, disks and limits, then processes and clocks. It goes on after
// errors and joins them.
func (b *Board) HealAll(ctx context.Context) error {
	held := []area{areaLinks, areaProcs, areaClocks, areaDisks, areaLimits}
	if err := b.lock(ctx, held); err != nil {
		return err
	}
	defer b.unlock(held)
	b.mu.Lock()
	clear(b.shares)
	clear(b.fates)
	b.mu.Unlock()
	return HealAll(ctx, b.c)
}

// HealAll brings a cluster back whatever was done to it, by whomever. An error
// that wraps cluster.ErrLapsed says that all is well now, and was not before:
// an agent had died, or had healed by itself.
func HealAll(ctx context.Context, c *cluster.Cluster) error {
	var errs []error
	say := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	if c.Net != nil {
		say("heal network", c.Net.Apply(ctx, cluster.LinkState{}))
	}
	for _, n := range c.Nodes {
		if c.Disks != nil {
			say("heal the disk of "+n, c.Disks.Apply(ctx, n, cluster.Disk{}))
		}
		if c.Limits != nil {
			say("give "+n+" its limits back", c.Limits.Limit(ctx, n, cluster.Limits{}))
		}
		if c.Procs != nil {
			is, err := c.Procs.State(ctx, n)
			say("look at the process of "+n, err)
			say("revive "+n, wakeUp(ctx, c.Procs, n, is))
		}
		if c.Clocks != nil {
			say("set the clock of "+n+" back", c.Clocks.Skew(ctx, n, cluster.Skew{}))
		}
	}
	return errors.Join(errs...)
}
