package txn

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// poolSize is how many keys are in use at a time: few, so that
	// transactions meet.
	poolSize = 10
	// writesPerKey is how many writes a key gets before a fresh one takes its
	// place: lists stay short enough to be read often.
	writesPerKey = 64
	// mostMops is the length of the longest transaction.
	mostMops = 4
	// One in so many transactions only reads, and one only writes.
	onlyReads, onlyWrites = 8, 8
	// zipf is the exponent by which some keys of the pool are preferred.
	zipf = 1.0
)

// pool draws transactions over a small pool of keys that rotates. It is a
// function of its seed.
type pool struct {
	rng     *rand.Rand
	write   string // the F of writes
	perKey  int
	keys    []int // in use
	writes  map[int]int
	next    int
	weights []float64 // cumulated, of the places in the pool
}

func newPool(seed uint64, write string, perKey int) *pool {
	p := &pool{rng: rand.New(rand.NewPCG(seed, 0)), write: write, perKey: perKey, writes: map[int]int{}}
	if perKey == 0 {
		p.perKey = writesPerKey
	}
	sum := 0.0
	for i := range poolSize {
		sum += math.Pow(float64(i+1), -zipf)
		p.weights = append(p.weights, sum)
		p.keys = append(p.keys, i)
	}
	p.next = poolSize
	return p
}

// txn draws a transaction of one to four micro-operations.
func (p *pool) txn() []Mop {
	mops := make([]Mop, 1+p.rng.IntN(mostMops))
	mix := p.rng.IntN(onlyReads * onlyWrites)
	for i := range mops {
		place := p.place()
		k := p.keys[place]
		if mix%onlyReads == 0 || mix/onlyReads > 0 && p.rng.IntN(2) == 0 {
			mops[i] = Mop{F: "r", Key: k}
			continue
		}
		p.writes[k]++
		mops[i] = Mop{F: p.write, Key: k, Value: p.writes[k]}
		if p.writes[k] >= p.perKey {
			p.keys[place] = p.next
			p.next++
		}
	}
	return mops
}

// place draws a place of the pool, the first ones more often.
func (p *pool) place() int {
	x := p.rng.Float64() * p.weights[poolSize-1]
	i, _ := slices.BinarySearch(p.weights, x)
	return min(i, poolSize-1)
}

// used are all keys that were written, in order.
func (p *pool) used() []int {
	var keys []int
	for k := range p.next {
		if p.writes[k] > 0 {
			keys = append(keys, k)
		}
	}
	return keys
}
