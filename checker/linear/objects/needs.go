package objects

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Needs says of a stack, a queue, a priority queue or a bag which operations
// must stay if one stays: all that put or took the same value, and all takes
// that crashed, since they may have taken it. Any part of a legal history that
// is closed under this is legal: without all that concerns a value the others
// are found in the same order. A take of what nobody put needs nothing: nothing
// can make it right.
func Needs(ops []spec.Op[In, int32]) [][]int32 {
	groups, put := map[int32][]int32{}, map[int32]bool{}
	var crashed []int32
	for i := range ops {
		switch o := &ops[i]; {
		case o.In.Verb == Put:
			put[o.In.Value] = true
			groups[o.In.Value] = append(groups[o.In.Value], int32(i))
		case o.Crashed:
			crashed = append(crashed, int32(i))
		case o.Out != None:
			groups[o.Out] = append(groups[o.Out], int32(i))
		}
	}
	for v := range groups {
		groups[v] = append(groups[v], crashed...)
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		switch o := &ops[i]; {
		case o.In.Verb == Put:
			needs[i] = groups[o.In.Value]
		case !o.Crashed && o.Out != None && put[o.Out]:
			needs[i] = groups[o.Out]
		}
	}
	return needs
}

// writers are the operations that change each key.
type writers map[int32][]int32

func (w writers) add(key int32, i int) {
	if list := w[key]; len(list) == 0 || list[len(list)-1] != int32(i) {
		w[key] = append(list, int32(i))
	}
}

// of is the operations that change any of the keys; shared with others if it
// is one key.
func (w writers) of(keys []int32) []int32 {
	lists := make([][]int32, len(keys))
	for k, key := range keys {
		lists[k] = w[key]
	}
	return union(lists)
}

// cell is a value that a key can have.
type cell struct{ key, value int32 }

// NeedsDict says the same of a map: what found a value needs all that set it,
// what found none all that delete the key, and what tells nothing needs
// nothing. Whatever came last before it among all is among these.
func NeedsDict(ops []spec.Op[DictIn, int32]) [][]int32 {
	by := map[cell][]int32{}
	for i := range ops {
		switch in := ops[i].In; in.Verb {
		case Set:
			c := cell{in.Key, in.Value}
			by[c] = append(by[c], int32(i))
		case Delete:
			c := cell{in.Key, None}
			by[c] = append(by[c], int32(i))
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		if o := &ops[i]; !o.Crashed && o.Out != Unknown {
			needs[i] = by[cell{o.In.Key, o.Out}]
		}
	}
	return needs
}

// NeedsRegisters says the same of many registers: what read some values needs
// all that write these there.
func NeedsRegisters(ops []spec.Op[[]Access, []int32]) [][]int32 {
	by := map[cell][]int32{}
	for i := range ops {
		for _, a := range ops[i].In {
			c := cell{a.Key, a.Value}
			if list := by[c]; a.Write && (len(list) == 0 || list[len(list)-1] != int32(i)) {
				by[c] = append(list, int32(i))
			}
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		var seen [][]int32
		for k, a := range ops[i].In {
			if !a.Write && k < len(ops[i].Out) && ops[i].Out[k] != Unknown {
				seen = append(seen, by[cell{a.Key, ops[i].Out[k]}])
			}
		}
		needs[i] = union(seen)
	}
	return needs
}

// union of lists; if it is but one, that.
func union(lists [][]int32) []int32 {
	switch len(lists) {
	case 0:
		return nil
	case 1:
		return lists[0]
	}
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// NeedsTransactions says the same of transactions: what reads some lists needs
// all that write or append to them.
func NeedsTransactions(ops []spec.Op[[]Step, [][]int32]) [][]int32 {
	w := writers{}
	for i := range ops {
		for _, a := range ops[i].In {
			if a.Verb != ReadKey {
				w.add(a.Key, i)
			}
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		var keys []int32
		for k, a := range ops[i].In {
			if a.Verb == ReadKey && k < len(ops[i].Out) && ops[i].Out[k] != nil {
				keys = append(keys, a.Key)
			}
		}
		needs[i] = w.of(keys)
	}
	return needs
}

// NeedsSemaphore says the same of a semaphore: what changes it needs all that
// do, and what found it short too.
func NeedsSemaphore(ops []spec.Op[Permits, bool]) [][]int32 {
	var changes []int32
	for i := range ops {
		if ops[i].Crashed || ops[i].Out {
			changes = append(changes, int32(i))
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		needs[i] = changes
	}
	return needs
}
