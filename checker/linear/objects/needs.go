package objects

import (
	"slices"

	"github.com/capstan-dev/capstan/checker/linear/spec"
)

// Needs says of a stack, a queue, a priority queue or a bag which operations
// must stay if one stays: all that put or took the same value, and all takes
// that crashed, since they may have taken it. Any part of a legal history that
// is closed under this is legal: without all that concerns a value the others
// are found in the same order.
func Needs(ops []spec.Op[In, int32]) [][]int32 {
	groups := map[int32][]int32{}
	var crashed []int32
	for i := range ops {
		switch o := &ops[i]; {
		case o.In.Verb == Put:
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
		case !o.Crashed && o.Out != None:
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
	switch len(keys) {
	case 0:
		return nil
	case 1:
		return w[keys[0]]
	}
	var all []int32
	for _, k := range keys {
		all = append(all, w[k]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// NeedsDict says the same of a map: what tells the value of a key needs all
// that change it.
func NeedsDict(ops []spec.Op[DictIn, int32]) [][]int32 {
	w := writers{}
	for i := range ops {
		if o := &ops[i]; o.In.Verb != Get {
			w.add(o.In.Key, i)
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		if o := &ops[i]; !o.Crashed && o.Out != Unknown {
			needs[i] = w[o.In.Key]
		}
	}
	return needs
}

// NeedsRegisters says the same of many registers: what reads some needs all
// that write them.
func NeedsRegisters(ops []spec.Op[[]Access, []int32]) [][]int32 {
	w := writers{}
	for i := range ops {
		for _, a := range ops[i].In {
			if a.Write {
				w.add(a.Key, i)
			}
		}
	}
	needs := make([][]int32, len(ops))
	for i := range ops {
		var keys []int32
		for k, a := range ops[i].In {
			if !a.Write && k < len(ops[i].Out) && ops[i].Out[k] != Unknown {
				keys = append(keys, a.Key)
			}
		}
		needs[i] = w.of(keys)
	}
	return needs
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
