// Package sequential is the workload of registers that one process writes one
// after the other and others read in reverse order, as in Jepsen's sequential.
package sequential

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/sequential"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
	"github.com/capstan-dev/capstan/workloads/register"
)

const (
	// subkeys are put in each group.
	subkeys = 5
	// recent is how many of the newest groups are scanned.
	recent = 6
)

// New makes the workload of one run.
func New() workloads.Workload { return &workload{} }

type workload struct{ groups int }

func (*workload) Name() string { return "sequential" }

func (*workload) Doc() string {
	return "one process puts registers in order, others scan them in reverse: nobody may see a later one and then not an earlier one"
}

func (w *workload) Source(p workloads.Params) gen.Source {
	return &putters{rng: rand.New(rand.NewPCG(p.Seed, 0)), groups: &w.groups, workers: map[int]*putter{}}
}

// Final scans the newest groups through every worker.
func (w *workload) Final(workloads.Params) gen.Source {
	var scans []gen.Source
	for g := max(0, w.groups-recent); g < w.groups; g++ {
		scans = append(scans, gen.EachWorker(func(int) gen.Op { return scan(g) }))
	}
	return gen.Phases(scans...)
}

func scan(group int) gen.Op { return gen.Op{F: "scan", Value: gen.Keyed(group, nil)} }

// putters lets each worker put the subkeys of a group of its own, and scan the
// groups of others in between.
type putters struct {
	rng     *rand.Rand
	groups  *int // begun so far
	workers map[int]*putter
}

// putter is a worker's group and the subkey that it puts next.
type putter struct{ group, next int }

func (s *putters) Next(v gen.View) (gen.Step, gen.Status) {
	if len(v.Free) == 0 {
		return gen.Step{At: history.Forever}, gen.Wait
	}
	id := v.Free[0]
	if *s.groups > 0 && s.rng.IntN(2) == 0 {
		g := *s.groups - 1 - s.rng.IntN(min(recent, *s.groups))
		return gen.Step{Op: scan(g), Worker: id}, gen.Ready
	}
	w := s.workers[id]
	if w == nil {
		w = &putter{group: *s.groups}
		s.workers[id] = w
		*s.groups++
	}
	return gen.Step{Op: gen.Op{F: "put", Value: gen.Keyed(w.group, strconv.AppendInt(nil, int64(w.next), 10))}, Worker: id}, gen.Ready
}

// Observe goes on to the next subkey when the one before is acknowledged. A
// group whose put was not is left as it is.
func (s *putters) Observe(id int, e history.Event) {
	w := s.workers[id]
	if w == nil || e.F != "put" || e.Kind == history.Invoke {
		return
	}
	if w.next++; e.Kind != history.OK || w.next == subkeys {
		delete(s.workers, id)
	}
}

// Bind wants a register.Store.
func (*workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(register.Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no read and write of registers")
	}
	return client{s}, nil
}

func (*workload) Checks() ([]checker.Checker, error) { return []checker.Checker{check.New()}, nil }

type client struct{ store register.Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	group, arg, err := gen.SplitKeyed(op.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", history.ErrNotApplied, err)
	}
	switch op.F {
	case "put":
		n, err := workloads.Arg[int](op.F, arg)
		if err != nil {
			return nil, err
		}
		return nil, c.store.Write(ctx, subkeys*group+n, 1)
	case "scan":
		b := []byte{'['}
		for n := subkeys - 1; n >= 0; n-- {
			v, ok, err := c.store.Read(ctx, subkeys*group+n)
			if err != nil {
				return nil, fmt.Errorf("read subkey %d: %w", n, err)
			}
			if ok {
				b = strconv.AppendInt(b, int64(v), 10)
			} else {
				b = append(b, "null"...)
			}
			if n > 0 {
				b = append(b, ',')
			}
		}
		return gen.Keyed(group, append(b, ']')), nil
	}
	return nil, workloads.NoSuch("sequential", op)
}
