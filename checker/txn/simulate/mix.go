package simulate

import (
	"math"
	"math/rand/v2"
)

// mix makes transactions.
type mix struct {
	*Options
	rng  *rand.Rand
	pool []poolKey
	// choice has the places of the pool, as often as they are to be chosen.
	choice []int32
	fresh  int32 // the next key
}

// poolKey is a key in use: its last value.
type poolKey struct{ key, value int32 }

// choices is a power of two.
const choices = 1 << 12

func newMix(o *Options, rng *rand.Rand) *mix {
	m := &mix{Options: o, rng: rng}
	for range o.Keys {
		m.pool = append(m.pool, poolKey{key: m.freshKey()})
	}
	total := 0.0
	for i := range o.Keys {
		total += math.Pow(float64(i+1), -o.Zipf)
	}
	sum := 0.0
	for i := range o.Keys {
		sum += math.Pow(float64(i+1), -o.Zipf)
		for len(m.choice) < int(math.Round(choices*sum/total)) {
			m.choice = append(m.choice, int32(i))
		}
	}
	return m
}

// freshKey is a key that was never used.
func (m *mix) freshKey() int32 {
	m.fresh++
	return m.fresh - 1
}

// next makes a transaction in the buffer.
func (m *mix) next(buf []Mop) []Mop {
	buf = buf[:0]
	writes := m.Writes
	switch u := m.rng.Float64(); {
	case u < m.ReadOnly:
		writes = 0
	case u < m.ReadOnly+m.WriteOnly:
		writes = 1
	}
	for range m.MinLength + m.rng.IntN(m.MaxLength-m.MinLength+1) {
		place := m.choice[m.rng.Uint32N(uint32(len(m.choice)))]
		k := &m.pool[place]
		if m.rng.Float64() >= writes {
			buf = append(buf, Mop{Key: k.key})
			continue
		}
		if int(k.value) >= m.WritesPerKey {
			*k = poolKey{key: m.freshKey()}
		}
		k.value++
		buf = append(buf, Mop{Write: true, Key: k.key, Value: k.value})
	}
	return buf
}
