package wgl

import "unsafe"

// key is the hash of a set of operations: the exclusive or of its elements'.
type key struct{ hi, lo uint64 }

// flip adds operation i to the set, or takes it out.
func (k *key) flip(i int32) {
	x := (uint64(i) + 1) * 0x9e3779b97f4a7c15
	k.hi ^= mix(x)
	k.lo ^= mix(x ^ 0xd1b54a32d192ed03)
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood, 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// chunk is how many configurations are allocated at once: a large slice that
// grows would be held twice.
const chunk = 1 << 12

// memo holds the configurations that were visited. The zero value, with equal
// set, is empty.
type memo[S any] struct {
	equal  func(a, b S) bool
	chunks [][]visited[S]
	n      uint32
	table  []uint32 // open addressing: 1 + the configuration's number, or 0
}

// visited is a configuration: the operations that were taken and the state
// that they led to. The state's hash is mixed into the key.
type visited[S any] struct {
	key   key
	state S
}

func (m *memo[S]) get(i uint32) *visited[S] { return &m.chunks[i/chunk][i%chunk] }

// add is false if the configuration was there already.
func (m *memo[S]) add(k key, hash uint64, s S) bool {
	if m.n >= uint32(len(m.table)/4*3) {
		m.grow()
	}
	k.lo ^= mix(hash)
	mask := uint32(len(m.table) - 1)
	at := uint32(k.lo) & mask
	for ; m.table[at] != 0; at = (at + 1) & mask {
		if v := m.get(m.table[at] - 1); v.key == k && m.equal(v.state, s) {
			return false
		}
	}
	switch {
	case m.n == 0:
		m.chunks = append(m.chunks, nil)
	case m.n%chunk == 0:
		m.chunks = append(m.chunks, make([]visited[S], 0, chunk))
	}
	last := &m.chunks[len(m.chunks)-1]
	*last = append(*last, visited[S]{k, s})
	m.n++
	m.table[at] = m.n
	return true
}

func (m *memo[S]) grow() {
	m.table = make([]uint32, max(16, 2*len(m.table)))
	mask := uint32(len(m.table) - 1)
	for i := range m.n {
		at := uint32(m.get(i).key.lo) & mask
		for m.table[at] != 0 {
			at = (at + 1) & mask
		}
		m.table[at] = i + 1
	}
}

// bytes is what the memo holds, without what states refer to.
func (m *memo[S]) bytes() int64 {
	return int64(m.n)*int64(unsafe.Sizeof(visited[S]{})) + 4*int64(len(m.table))
}
