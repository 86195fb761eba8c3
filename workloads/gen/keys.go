package gen

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/capstan-dev/capstan/history"
)

func contains(sorted []int, x int) bool {
	_, ok := slices.BinarySearch(sorted, x)
	return ok
}

// ConcurrentKeys splits the workers into groups of at least size and lets
// each group work on a key of its own; when the key's source ends, the group
// takes the next fresh key, counted up from 0. perKey makes the source of one
// key. Values become [key, value]. It ends after limit keys; 0 means never.
func ConcurrentKeys(size, limit int, perKey func(key int) Source) Source {
	return &concurrentKeys{size: max(size, 1), limit: limit, perKey: perKey,
		owner: map[int]*keySource{}}
}

type concurrentKeys struct {
	size, limit int
	perKey      func(int) Source
	next        int
	groups      []*keySource
	owner       map[int]*keySource
	turns       turns
}

type keySource struct {
	key int
	Source
}

func (c *concurrentKeys) Next(v View) (Step, Status) {
	if c.groups == nil {
		c.groups = make([]*keySource, max(1, len(v.All)/c.size))
	}
	n := len(c.groups)
	return first(c.turns.next(n), func(g int) (Step, Status) {
		return c.nextInGroup(g, v.only(v.All[g*len(v.All)/n:(g+1)*len(v.All)/n]))
	})
}

// nextInGroup asks the group's key, and moves on to a fresh key when that has
// ended. A key that ends at once ends the group: perKey is at fault, and an
// endless search for a better key would hang the run.
func (c *concurrentKeys) nextInGroup(g int, v View) (Step, Status) {
	for range 2 {
		if c.groups[g] == nil {
			if c.limit > 0 && c.next >= c.limit {
				return Step{}, Done
			}
			c.groups[g] = &keySource{key: c.next, Source: c.perKey(c.next)}
			c.next++
		}
		k := c.groups[g]
		step, st := k.Next(v)
		switch st {
		case Ready:
			c.owner[step.Worker] = k
			step.Value = Keyed(k.key, step.Value)
			return step, st
		case Wait:
			return step, st
		}
		c.groups[g] = nil
	}
	return Step{}, Done
}

func (c *concurrentKeys) Observe(w int, e history.Event) {
	k, ok := c.owner[w]
	if !ok {
		return
	}
	if _, v, err := SplitKeyed(e.Value); err == nil {
		e.Value = v
	}
	k.Observe(w, e)
}

// Keyed is the value [key, value]; no value is null.
func Keyed(key int, value json.RawMessage) json.RawMessage {
	b := make([]byte, 0, len(value)+16)
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(key), 10)
	b = append(b, ',')
	if len(value) == 0 {
		b = append(b, "null"...)
	} else {
		b = append(b, value...)
	}
	return append(b, ']')
}

// SplitKeyed takes a value [key, value] apart.
func SplitKeyed(b json.RawMessage) (key int, value json.RawMessage, err error) {
	k, v, ok := history.SplitPair(b)
	if !ok {
		return 0, nil, fmt.Errorf("split keyed value: want [key, value], got %s", b)
	}
	if err := json.Unmarshal(k, &key); err != nil {
		return 0, nil, fmt.Errorf("split keyed value: key is no integer: %w", err)
	}
	return key, v, nil
}
