package riak

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

// Conn is one process' connection to one node. It is not dialled anew when it
// breaks; Closed tells, and whoever opened it opens another.
type Conn struct {
	*wire
	levels map[string]string
}

var (
	_ register.Store = (*Conn)(nil)
	_ set.Store      = (*Conn)(nil)
	_ counter.Store  = (*Conn)(nil)
)

// Open implements targets.System.
func (s *system) Open(ctx context.Context, node string, _ int) (io.Closer, error) {
	c, err := s.open(ctx, node)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	return c, nil
}

func (s *system) open(ctx context.Context, node string) (*Conn, error) {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil, err
	}
	w, err := dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	return &Conn{w, s.Spec.Levels}, nil
}

// The buckets, and the keys of what there is one of.
const (
	registers = "registers"
	sets      = "sets"
	counters  = "counters"
	only      = "0"
)

func (c *Conn) resolves(by string) bool { return c.levels[levelResolve] == by }

// inMap is a register in a map: there is no other data type of that kind.
type inMap struct {
	V string `json:"v_register"`
}

// Read implements register.Store.
func (c *Conn) Read(ctx context.Context, key int) (v int, ok bool, err error) {
	if !c.resolves(resolveCRDT) {
		o, err := c.fetch(ctx, registers, strconv.Itoa(key))
		if err != nil {
			return 0, false, err
		}
		return o.greatest()
	}
	var m inMap
	if ok, err = c.fetchData(ctx, typeMaps, registers, strconv.Itoa(key), &m); err != nil || !ok {
		return 0, false, err
	}
	v, err = number(m.V)
	return v, err == nil, err
}

// Write implements register.Store. It reads the causal context first, without
// which siblings would never end, and consensus would refuse it; where the last
// write wins it needs none.
func (c *Conn) Write(ctx context.Context, key, v int) error {
	k, text := strconv.Itoa(key), strconv.Itoa(v)
	switch c.levels[levelResolve] {
	case resolveCRDT:
		return c.update(ctx, typeMaps, registers, k, map[string]inMap{"update": {text}})
	case resolveLWW:
		return c.store(ctx, registers, k, text, "")
	}
	return c.change(ctx, registers, k, func(object) (string, error) { return text, nil })
}

// CAS implements register.Store. Consensus alone has it: it refuses what was
// written with a context that is not current.
func (c *Conn) CAS(ctx context.Context, key, old, new int) (register.Swap, error) {
	if !c.resolves(resolveStrong) {
		return register.Swap{}, history.ErrNotOffered
	}
	k := strconv.Itoa(key)
	o, err := c.fetch(ctx, registers, k)
	if err != nil {
		return register.Swap{}, targets.NotApplied(err)
	}
	v, ok, err := o.greatest()
	if err != nil || !ok || v != old {
		return register.Found(v, ok), err
	}
	err = c.store(ctx, registers, k, strconv.Itoa(new), o.context)
	return register.Swap{Done: err == nil}, err
}

// Add implements set.Store. Without data types a set is an object with all its
// elements, which is read and written back.
func (c *Conn) Add(ctx context.Context, element int) error {
	text := strconv.Itoa(element)
	if c.resolves(resolveCRDT) {
		return c.update(ctx, typeSets, sets, only, map[string]string{"add": text})
	}
	return c.change(ctx, sets, only, func(o object) (string, error) {
		all, err := o.union()
		return formatList(append(all, element)), err
	})
}

// ReadAll implements set.Store.
func (c *Conn) ReadAll(ctx context.Context) ([]int, error) {
	if !c.resolves(resolveCRDT) {
		o, err := c.fetch(ctx, sets, only)
		if err != nil {
			return nil, err
		}
		return o.union()
	}
	var elements []string
	if _, err := c.fetchData(ctx, typeSets, sets, only, &elements); err != nil {
		return nil, err
	}
	return object{values: elements}.union()
}

// AddTo implements counter.Store.
func (c *Conn) AddTo(ctx context.Context, delta int) error {
	if c.resolves(resolveCRDT) {
		return c.update(ctx, typeCounters, counters, only, map[string]int{"increment": delta})
	}
	return c.change(ctx, counters, only, func(o object) (string, error) {
		v, _, err := o.greatest()
		return strconv.Itoa(v + delta), err
	})
}

// Get implements counter.Store.
func (c *Conn) Get(ctx context.Context) (v int, err error) {
	if c.resolves(resolveCRDT) {
		_, err := c.fetchData(ctx, typeCounters, counters, only, &v)
		return v, err
	}
	o, err := c.fetch(ctx, counters, only)
	if err != nil {
		return 0, err
	}
	v, _, err = o.greatest()
	return v, err
}

// greatest merges siblings that are numbers; ok is false if there is none. All
// clients come to the same.
func (o object) greatest() (v int, ok bool, err error) {
	all, err := o.union()
	if err != nil || len(all) == 0 {
		return 0, false, err
	}
	return slices.Max(all), true, nil
}

// union merges siblings that are lists of numbers.
func (o object) union() ([]int, error) {
	all := []int{}
	for _, value := range o.values {
		for text := range strings.SplitSeq(value, ",") {
			n, err := number(text)
			if err != nil {
				return nil, err
			}
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func formatList(list []int) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ",")
}

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, targets.NotApplied(fmt.Errorf("read number: %w", err))
	}
	return n, nil
}
