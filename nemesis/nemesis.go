package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// Nemesis brings faults into force on a cluster, as many at a time as are
// asked for, proves each, and heals each by itself. It may be used from any
// task of the cluster's runtime, and needs no run.
type Nemesis struct {
	c     *cluster.Cluster
	rt    cluster.Runtime
	seed  uint64
	board *Board

	mu     sync.Mutex // never held while a task waits
	active []*active
	last   int // number given to a fault
	owners int
}

// active is a fault between its start and its heal.
type active struct {
	acts   []*act
	detail history.FaultDetail
	lapsed error
}

// New makes one for a cluster on which no fault is in force. What the faults
// draw comes from the seed and their number.
func New(c *cluster.Cluster, rt cluster.Runtime, seed uint64) *Nemesis {
	return &Nemesis{c: c, rt: rt, seed: seed, board: NewBoard(c, rt)}
}

func (n *Nemesis) owner() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.owners++
	return n.owners
}

// Number gives the next fault its number, for Start.
func (n *Nemesis) Number() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	return n.last
}

// How long a step may take to be injected, and a fault to be healed: what is a
// state, and what is a verb that moves data.
const (
	patience     = time.Minute
	verbPatience = 5 * time.Minute
)

// Start brings a fault into force under a number from Number, and measures
// whether it is: Proven of the detail says so. Also after an error the fault
// is to be healed, as it may be half in. When ctx ends, no further step joins;
// one that has begun is finished.
func (n *Nemesis) Start(ctx context.Context, id int, f Fault) (detail history.FaultDetail, err error) {
	a := &active{detail: history.FaultDetail{ID: id, Fault: f.Name(), State: history.Prepared}}
	n.mu.Lock()
	n.active = append(n.active, a)
	n.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = panicked("inject "+f.Name(), p)
		}
		detail = n.note(a, func(d *history.FaultDetail) {
			if err != nil {
				d.State, d.Proven = history.Invalid, false
			}
		})
	}()
	rng := rand.New(rand.NewPCG(n.seed, uint64(id)))
	var before []string
	for i, part := range flatten(f, rng) {
		if i > 0 {
			if err := n.rt.Sleep(ctx, part.After); err != nil {
				return a.detail, err
			}
		}
		nodes, err := n.startPart(context.WithoutCancel(ctx), a, part.Fault, rng, before)
		if err != nil {
			return a.detail, err
		}
		before = nodes
	}
	return a.detail, nil
}

// startPart brings one step into force, and gives the nodes it is aimed at.
func (n *Nemesis) startPart(ctx context.Context, a *active, f Fault, rng *rand.Rand, before []string) ([]string, error) {
	short, cancel := n.rt.WithTimeout(ctx, patience)
	defer cancel()
	act, err := n.prepare(short, f, rng, before)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	first := len(a.acts) == 0
	a.acts = append(a.acts, act)
	n.mu.Unlock()
	limit, cancel := n.rt.WithTimeout(ctx, act.patience())
	defer cancel()
	d, err := act.inject(limit)
	n.note(a, func(all *history.FaultDetail) { join(all, d, first) })
	return act.action.Nodes, err
}

// panicked makes an error of a panic in a fault, which must not leave it
// unhealed. What else unwinds a task goes on unwinding it.
func panicked(what string, p any) error {
	switch p.(type) {
	case error, string, fmt.Stringer:
		return fmt.Errorf("%s: panic: %v", what, p)
	}
	panic(p)
}

// note changes what is known of a fault, and returns it.
func (n *Nemesis) note(a *active, change func(*history.FaultDetail)) history.FaultDetail {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&a.detail)
	return a.detail
}

// join adds the detail of a part to that of its fault.
func join(all *history.FaultDetail, d history.FaultDetail, first bool) {
	if first {
		d.ID = all.ID
		if d.Kind() != all.Kind() || strings.Contains(all.Fault, " + ") {
			d.Fault, d.Proof = all.Fault, d.Fault+": "+d.Proof
		}
		*all = d
		return
	}
	nodes := slices.Concat(all.Nodes, d.Nodes)
	slices.Sort(nodes)
	all.Nodes = slices.Compact(nodes)
	all.Cut = append(all.Cut, d.Cut...)
	if all.Sides == nil {
		all.Sides = d.Sides
	}
	all.Links = append(all.Links, d.Links...)
	all.Before = joinWords(all.Before, d.Before)
	all.Proof = joinWords(all.Proof, d.Proof)
	all.Proven = all.Proven && d.Proven
	if !d.Proven || d.State == history.Healed {
		all.State = d.State
	}
}

func joinWords(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; then " + b
}

// find gives an active fault.
func (n *Nemesis) find(id int) (*active, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.active {
		if a.detail.ID == id {
			return a, nil
		}
	}
	return nil, fmt.Errorf("no fault %d is in force", id)
}

// Verify measures once more whether a fault is in force.
func (n *Nemesis) Verify(ctx context.Context, id int) (history.FaultDetail, error) {
	a, err := n.find(id)
	if err != nil {
		return history.FaultDetail{}, err
	}
	all := history.FaultDetail{ID: id, Fault: a.detail.Fault}
	for i, act := range n.parts(a) {
		d, err := act.verify(ctx)
		if err != nil {
			all.State, all.Proven = history.Invalid, false
			return all, fmt.Errorf("verify %s: %w", a.detail.Fault, err)
		}
		join(&all, d, i == 0)
	}
	all.Fault = a.detail.Fault
	return n.note(a, func(d *history.FaultDetail) {
		d.Proven, d.Proof, d.Links = all.Proven, all.Proof, all.Links
		if !all.Proven {
			d.State = history.Invalid
		}
	}), nil
}

// retryHeal is how long a heal that is not proven waits before it tries again.
const retryHeal = 200 * time.Millisecond

// Heal takes a fault away, and leaves all others in force. It tries until the
// heal is proven, the context ends, or it has taken too long; a fault that was
// not healed stays in the list. An error of a heal that is proven says that the fault had ended by
// itself before.
func (n *Nemesis) Heal(ctx context.Context, id int) (history.FaultDetail, error) {
	a, err := n.find(id)
	if err != nil {
		return history.FaultDetail{}, err
	}
	long := patience
	for _, act := range n.parts(a) {
		long = max(long, act.patience())
	}
	ctx, cancel := n.rt.WithTimeout(ctx, long)
	defer cancel()
	var last history.FaultDetail
	var lastErr error
	for try := 1; ; try++ {
		d, err := n.healOnce(ctx, a)
		if ctx.Err() != nil && try > 1 {
			d, err = last, lastErr // it says more than one that was cut short
		}
		last, lastErr = d, err
		if err == nil && d.Proven {
			n.forget(a)
			if a.lapsed != nil {
				return d, fmt.Errorf("the fault was not in force to its end: %w", a.lapsed)
			}
			return d, nil
		}
		if n.rt.Sleep(ctx, retryHeal) != nil {
			d.State, d.Proven = history.Invalid, false
			return d, err
		}
	}
}

// healOnce heals the parts of a fault, the last one first.
func (n *Nemesis) healOnce(ctx context.Context, a *active) (history.FaultDetail, error) {
	all := history.FaultDetail{ID: a.detail.ID, Fault: a.detail.Fault, Proven: true, State: history.Healed, Proof: "nothing was injected"}
	var errs []error
	parts := n.parts(a)
	for i, act := range slices.Backward(parts) {
		d, err := act.heal(ctx)
		if err != nil {
			errs = append(errs, err)
			d.Proven = false
		}
		join(&all, d, i == len(parts)-1)
		if err := n.board.Lapsed(act.owner); err != nil {
			a.lapsed = err
		}
	}
	all.Fault, all.Before = a.detail.Fault, ""
	return all, errors.Join(errs...)
}

func (n *Nemesis) parts(a *active) []*act {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(a.acts)
}

func (n *Nemesis) forget(a *active) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.active = slices.DeleteFunc(n.active, func(x *active) bool { return x == a })
	for _, act := range a.acts {
		n.board.Forget(act.owner)
	}
}

// List gives the faults that are not healed, in order of their start, with
// what was last measured.
func (n *Nemesis) List() []history.FaultDetail {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []history.FaultDetail
	for _, a := range n.active {
		all = append(all, a.detail)
	}
	return all
}

// Want is what all faults in force want of the cluster together.
func (n *Nemesis) Want() Want { return n.board.Want() }

// HealAll heals what is in the list, and then brings the cluster back whatever
// was done to it: links, disks, limits, processes, clocks. It goes on after
// errors and joins them.
func (n *Nemesis) HealAll(ctx context.Context) error {
	n.mu.Lock()
	left := slices.Clone(n.active)
	n.mu.Unlock()
	var errs []error
	for _, a := range slices.Backward(left) {
		d, err := n.healOnce(ctx, a)
		if err == nil && !d.Proven {
			err = errors.New(d.Proof)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("heal fault %d %s: %w", d.ID, d.Fault, err))
			continue
		}
		n.forget(a)
	}
	return errors.Join(append(errs, n.board.HealAll(ctx))...)
}
