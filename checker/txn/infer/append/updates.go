package append

import (
	"maps"
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// updates finds lost updates: several transactions that read the same version
// of a key, and then wrote it.
type updates struct {
	first  []int32 // by version+key, for the read that saw so many: the transaction+1
	at     []int32 // its read
	odd    map[log.Value]update
	groups map[int64][]update // those of which there are several
	x      *versions
}

func newUpdates(x *versions) *updates {
	n := len(x.writer) + len(x.l.Keys)
	return &updates{first: make([]int32, n), at: make([]int32, n), odd: map[log.Value]update{}, groups: map[int64][]update{}, x: x}
}

func (u *updates) add(n update) {
	if n.read.Fun == log.Odd {
		if before, there := u.odd[n.read.Value]; there {
			u.group(-1-int64(n.read.Value), before, n)
		} else {
			u.odd[n.read.Value] = n
		}
		return
	}
	slot := u.x.first[n.read.Key] + n.read.Key + u.x.seen(n.read)
	if u.first[slot] == 0 {
		u.first[slot], u.at[slot] = n.txn+1, n.at
		return
	}
	u.group(int64(slot), update{n.read, u.first[slot] - 1, u.at[slot]}, n)
}

func (u *updates) group(id int64, first, n update) {
	if len(u.groups[id]) == 0 {
		u.groups[id] = []update{first}
	}
	u.groups[id] = append(u.groups[id], n)
}

// report tells each group.
func (u *updates) report(f *infer.Finds, x *versions) {
	for _, id := range slices.Sorted(maps.Keys(u.groups)) {
		f.Add(adya.LostUpdate, func() infer.Found {
			group := u.groups[id]
			found := infer.Found{Key: group[0].read.Key, Values: []log.Value{final(x.l.Elements(group[0].read))}}
			for _, n := range group {
				found.Txns = append(found.Txns, n.txn)
				found.Mops = append(found.Mops, x.at(n.txn, n.at))
			}
			return found
		})
	}
}
