package nemesis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// act is one part of a fault, from its draw to its heal.
type act struct {
	n      *Nemesis
	owner  int
	rng    *rand.Rand
	action Action
	base   *baseline
	before string
	stage  *Stage
	// revived are the nodes that the fault killed by the way.
	revived []string
}

// prepare draws a part and measures the state before.
func (n *Nemesis) prepare(ctx context.Context, f Fault, rng *rand.Rand, before []string) (*act, error) {
	action, err := f.Draw(ctx, n.c, rng, before)
	if err != nil {
		return nil, fmt.Errorf("draw %s: %w", f.Name(), err)
	}
	slices.Sort(action.Nodes)
	a := &act{n: n, owner: n.owner(), rng: rng, action: action}
	r, base, err := n.board.prove(ctx, action.Want.touches(), action.Want, nil)
	if err != nil {
		return nil, fmt.Errorf("measure before %s: %w", f.Name(), err)
	}
	a.base, a.before = base, r.words()
	return a, nil
}

// patience is how long its injection may take, and its heal.
func (a *act) patience() time.Duration {
	if a.action.Do != nil || a.action.Undo != nil {
		return verbPatience
	}
	return patience
}

// detail is what the history says about the part, without its proof.
func (a *act) detail() history.FaultDetail {
	d := history.FaultDetail{Fault: a.action.Fault, Nodes: a.action.Nodes, Before: a.before, State: history.Prepared}
	for _, l := range slices.SortedFunc(maps.Keys(a.action.Want.Links.Cut), compareLinks) {
		d.Cut = append(d.Cut, [2]string{l.From, l.To})
	}
	if cut := between(a.n.c.Nodes, a.action.Want.Links.Cut); len(cut) > 0 {
		d.Sides = Sides(a.n.c.Nodes, cut)
	}
	return d
}

// inject brings the part into force and measures whether it is.
func (a *act) inject(ctx context.Context) (history.FaultDetail, error) {
	d := a.detail()
	d.State = history.Injected
	var seen reading
	if a.action.Do != nil {
		words, proven, err := a.action.Do(ctx)
		if err != nil {
			return d, err
		}
		seen.add(words, proven)
	}
	if err := a.n.board.Set(ctx, a.owner, a.action.Want); err != nil {
		return d, err
	}
	if err := a.n.rt.Sleep(ctx, a.action.Settle); err != nil {
		return d, err
	}
	if err := a.prove(ctx, &seen); err != nil {
		return d, err
	}
	if nodes := len(a.action.Want.Clocks) + len(a.action.Want.Limits); nodes > 0 && seen.idle == nodes {
		seen.doubt("none of its servers runs: %s", strings.Join(seen.seen, ", "))
	}
	a.judge(&d, seen, history.InForce)
	if a.action.Play != nil {
		a.play()
	}
	return d, nil
}

// verify measures once more whether the part is in force.
func (a *act) verify(ctx context.Context) (history.FaultDetail, error) {
	d := a.detail()
	d.State = history.Injected
	var seen reading
	if a.action.Check != nil {
		words, proven, err := a.action.Check(ctx)
		if err != nil {
			return d, err
		}
		seen.add(words, proven)
	}
	if err := a.n.board.Lapsed(a.owner); err != nil {
		seen.doubt("%v", err)
	}
	if err := a.prove(ctx, &seen); err != nil {
		return d, err
	}
	if a.stage != nil {
		a.stage.report(&seen)
	}
	a.judge(&d, seen, history.InForce)
	return d, nil
}

// heal takes the part's share away and measures whether it is gone.
func (a *act) heal(ctx context.Context) (history.FaultDetail, error) {
	d := a.detail()
	d.State = history.Injected
	if err := a.stopPlay(ctx); err != nil {
		return d, err
	}
	var seen reading
	err := a.n.board.Release(ctx, a.owner)
	if a.action.Undo != nil {
		words, proven, undone := a.action.Undo(ctx)
		err = errors.Join(err, undone)
		seen.add(words, proven)
	}
	if err != nil {
		return d, err
	}
	t := a.n.board.touching(a.owner)
	revived, err := a.n.board.revive(ctx, t.and(touched{disks: t.limit}).disks)
	a.revived = append(a.revived, revived...)
	if err != nil {
		return d, err
	}
	if len(a.revived) > 0 {
		seen.see("%s had died of it and was started again", strings.Join(a.revived, ", "))
	}
	if err := a.prove(ctx, &seen); err != nil {
		return d, err
	}
	if a.action.Reset && seen.proven() {
		if err := a.n.c.Net.Reset(ctx, a.n.board.touching(a.owner).links); err != nil {
			return d, fmt.Errorf("reset connections: %w", err)
		}
		seen.see("stale connections were reset")
	}
	a.judge(&d, seen, history.Healed)
	return d, nil
}

// slowTries is how often links are measured that are only too slow. What is too
// fast, or lost too rarely or too often, is measured once.
const slowTries = 3

// prove adds what is measured of the areas that the part touches.
func (a *act) prove(ctx context.Context, seen *reading) error {
	r, _, err := a.n.board.prove(ctx, a.n.board.touching(a.owner), a.action.Want, a.base)
	for i := 1; i < slowTries && err == nil && r.slow > 0 && r.slow == len(r.wrong); i++ {
		r, _, err = a.n.board.prove(ctx, a.n.board.touching(a.owner), a.action.Want, a.base)
	}
	seen.wrong = append(seen.wrong, r.wrong...)
	seen.seen = append(seen.seen, r.seen...)
	seen.links = append(seen.links, r.links...)
	seen.idle += r.idle
	return err
}

// add takes what a verb has seen.
func (r *reading) add(words string, proven bool) {
	if !proven {
		r.doubt("%s", cmp.Or(words, "nothing was seen of it"))
		return
	}
	if words != "" {
		r.see("%s", words)
	}
}

// judge writes a reading into a detail; state is what the fault is in if it
// is proven.
func (a *act) judge(d *history.FaultDetail, r reading, state history.FaultState) {
	d.Proven, d.Proof, d.Links = r.proven(), r.words(), r.links
	if a.action.Words != "" {
		d.Proof = a.action.Words + ": " + d.Proof
	}
	if d.Proven {
		d.State = state
	}
}

// Stage is what a fault can do while it is in force.
type Stage struct {
	a *act
	// Rand draws for this fault only.
	Rand *rand.Rand

	mu     sync.Mutex
	cancel context.CancelFunc
	done   bool
	err    error
	steps  int
	proofs int
	wrong  []string
}

// play runs the script in a task of its own, which outlives the injection.
func (a *act) play() {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Stage{a: a, Rand: a.rng, cancel: cancel}
	a.stage = s
	a.n.rt.Go(func() {
		err := a.playSafely(ctx, s)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = true
		if err != nil && ctx.Err() == nil {
			s.err = err
		}
	})
}

func (a *act) playSafely(ctx context.Context, s *Stage) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked("play "+a.action.Fault, p)
		}
	}()
	return a.action.Play(ctx, s)
}

// stopPlay ends the script and waits until it has ended.
func (a *act) stopPlay(ctx context.Context) error {
	if a.stage == nil {
		return nil
	}
	a.stage.cancel()
	for !a.stage.over() {
		if err := a.n.rt.Sleep(ctx, pollLock); err != nil {
			return fmt.Errorf("wait for %s to stop: %w", a.action.Fault, err)
		}
	}
	return nil
}

func (s *Stage) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Sleep waits; it returns the context's error if the fault is to be healed.
func (s *Stage) Sleep(ctx context.Context, d time.Duration) error { return s.a.n.rt.Sleep(ctx, d) }

// stepTimeout bounds one step of a script.
const stepTimeout = 30 * time.Second

// Set changes the fault's share, as a whole. A change that has begun is
// finished also if the fault is to be healed meanwhile.
func (s *Stage) Set(ctx context.Context, w Want) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limit, cancel := s.a.n.rt.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
	defer cancel()
	err := s.a.n.board.Set(limit, s.a.owner, w)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.steps++
	}
	return err
}

// Prove measures whether the cluster is as it was last set. A proof that does
// not hold makes the fault unproven, not an error.
func (s *Stage) Prove(ctx context.Context) error {
	limit, cancel := s.a.n.rt.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
	defer cancel()
	var r reading
	err := s.a.prove(limit, &r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proofs++
	if err == nil && !r.proven() {
		s.wrong = append(s.wrong, r.words())
	}
	return err
}

// report says what the script has done so far.
func (s *Stage) report(r *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		r.doubt("stopped after %d changes: %v", s.steps, s.err)
	}
	if len(s.wrong) > 0 {
		r.doubt("%d of %d changes that were measured did not hold: %s", len(s.wrong), s.proofs, s.wrong[0])
	}
	r.see("%d changes, %d of them measured", s.steps, s.proofs)
}

// between keeps the cut links that join two nodes.
func between(nodes []string, cut map[cluster.Link]cluster.Cut) []cluster.Link {
	var links []cluster.Link
	for l, how := range cut {
		if how != cluster.Open && slices.Contains(nodes, l.From) && slices.Contains(nodes, l.To) {
			links = append(links, l)
		}
	}
	slices.SortFunc(links, compareLinks)
	return links
}
