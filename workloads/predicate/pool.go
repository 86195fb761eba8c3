package predicate

import "math/rand/v2"

const (
	// live is how many groups of keys are in use at a time, groupKeys how many
	// keys each has: few, so that transactions meet.
	live, groupKeys = 2, 8
	// groupMops is how many micro-operations a group gets before a fresh one
	// takes its place.
	groupMops = 40
	// writesPerKey is how many writes a key gets at most: their order is not
	// inferred, except that the first version comes before all others.
	writesPerKey = 3
	// mostMops is the length of the longest transaction.
	mostMops = 4
	// One in so many transactions only reads, and one only writes.
	onlyReads, onlyWrites = 8, 8
	// One in so many keys is deleted in the end: of a key that was deleted
	// nobody can tell whether who misses it looked before its birth or after
	// its death, except if it is one of init's.
	deletes = 6
	// modulus tells the values of a group from those of all others: write i of
	// a key of group g writes g + i*modulus.
	modulus = 1_000_000
	// Of the first so many groups so many keys are there from the beginning.
	initGroups, initKeys = 64, 3
	// As long as no more than so many groups were in use, one in so many reads
	// by predicate reads all keys. Later that would be too many.
	smallGroups, allKeys = 6, 8
)

// pool draws transactions over groups of keys that rotate. All values that were
// written to a group can be read by one predicate that no other value fulfils,
// so that who does not find a key looked at what was there before its first
// write. It is a function of its seed.
type pool struct {
	rng    *rand.Rand
	perKey int
	groups []*group // in use
	next   int      // the group that comes next
}

// group is one of keys number*groupKeys and the following.
type group struct {
	number int
	keys   []key
	mops   int // that it had
}

type key struct {
	id            int
	writes, limit int // those that it had, and those that it gets
	deleting      bool
}

func newPool(seed uint64, perKey int) *pool {
	p := &pool{rng: rand.New(rand.NewPCG(seed, 0)), perKey: perKey}
	if perKey == 0 {
		p.perKey = writesPerKey
	}
	for range live {
		p.groups = append(p.groups, p.group())
	}
	return p
}

// group makes a fresh one.
func (p *pool) group() *group {
	g := &group{number: p.next}
	p.next++
	for i := range groupKeys {
		k := key{id: g.number*groupKeys + i, limit: 1 + p.rng.IntN(p.perKey), deleting: p.rng.IntN(deletes) == 0}
		if g.number < initGroups && i < initKeys {
			k.writes, k.limit, k.deleting = 1, 2, p.rng.IntN(2) == 0
		}
		g.keys = append(g.keys, k)
	}
	return g
}

// initial are the values that keys have from the beginning.
func initial() map[int]int {
	values := map[int]int{}
	for g := range initGroups {
		for i := range initKeys {
			values[g*groupKeys+i] = g
		}
	}
	return values
}

// txn draws a transaction of one to four micro-operations.
func (p *pool) txn() []Mop {
	mops := make([]Mop, 1+p.rng.IntN(mostMops))
	mix := p.rng.IntN(onlyReads * onlyWrites)
	for i := range mops {
		at := p.rng.IntN(live)
		g := p.groups[at]
		if g.mops++; g.mops >= groupMops {
			p.groups[at] = p.group()
		}
		writes := mix%onlyReads > 0 && (mix/onlyReads == 0 || p.rng.IntN(2) == 0)
		open := g.open()
		switch {
		case writes && len(open) > 0:
			mops[i] = p.write(g, open[p.rng.IntN(len(open))])
		case p.rng.IntN(3) == 0:
			mops[i] = Mop{F: "r", Key: g.keys[p.rng.IntN(groupKeys)].id}
		default:
			mops[i] = Mop{F: "rp", Test: p.test(g)}
		}
	}
	return mops
}

// open are the keys that get another write.
func (g *group) open() []*key {
	var open []*key
	for i := range g.keys {
		if k := &g.keys[i]; k.writes < k.limit {
			open = append(open, k)
		}
	}
	return open
}

// write is the next write of a key of a group.
func (p *pool) write(g *group, k *key) Mop {
	i := k.writes
	k.writes++
	switch {
	case k.deleting && i > 0 && k.writes == k.limit:
		return Mop{F: "delete", Key: k.id}
	case i == 0 && p.rng.IntN(4) > 0:
		return Mop{F: "insert", Key: k.id, Value: g.number}
	}
	return Mop{F: "w", Key: k.id, Value: g.number + i*modulus}
}

// test draws a predicate that looks for the values of a group: the first ones
// of its keys, or all.
func (p *pool) test(g *group) Test {
	switch {
	case p.next <= smallGroups && p.rng.IntN(allKeys) == 0:
		return Test{F: "true"}
	case p.rng.IntN(3) == 0:
		return Test{F: "=", Value: g.number}
	}
	return Test{F: "mod", Modulus: modulus, Value: g.number}
}
