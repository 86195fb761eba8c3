package objects

import "math/bits"

// tree is an immutable map from numbers to values: a treap (Seidel and Aragon,
// 1996) whose priorities are hashes of the keys, so that equal maps have equal
// shapes. The nil tree is empty. Steps cost O(log n).
type tree[V content[V]] struct {
	key         int32
	size        int32
	value       V
	left, right *tree[V]
	sum         uint64 // of the hashes of all entries
}

// content is what a tree can hold.
type content[V any] interface {
	hash() uint64
	equal(V) bool
}

// number is the plainest content.
type number int32

func (n number) hash() uint64        { return uint64(uint32(n)) }
func (n number) equal(m number) bool { return n == m }

// mix is the finalizer of splitmix64 (Steele, Lea, Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// above says which of two keys is nearer to the root.
func above(a, b int32) bool {
	x, y := mix(uint64(uint32(a))), mix(uint64(uint32(b)))
	return x > y // mix is one to one
}

func (t *tree[V]) count() int32 {
	if t == nil {
		return 0
	}
	return t.size
}

func (t *tree[V]) hash() uint64 {
	if t == nil {
		return 0
	}
	return t.sum
}

func node[V content[V]](key int32, value V, left, right *tree[V]) *tree[V] {
	return &tree[V]{
		key: key, value: value, left: left, right: right,
		size: 1 + left.count() + right.count(),
		sum:  mix(mix(value.hash())^uint64(uint32(key))) + left.hash() + right.hash(),
	}
}

func (t *tree[V]) get(key int32) (value V, ok bool) {
	for t != nil && t.key != key {
		if key < t.key {
			t = t.left
		} else {
			t = t.right
		}
	}
	if t == nil {
		return value, false
	}
	return t.value, true
}

func (t *tree[V]) set(key int32, value V) *tree[V] {
	switch {
	case t == nil:
		return node[V](key, value, nil, nil)
	case key == t.key:
		return node(key, value, t.left, t.right)
	case key < t.key:
		l := t.left.set(key, value)
		if above(l.key, t.key) {
			return node(l.key, l.value, l.left, node(t.key, t.value, l.right, t.right))
		}
		return node(t.key, t.value, l, t.right)
	}
	r := t.right.set(key, value)
	if above(r.key, t.key) {
		return node(r.key, r.value, node(t.key, t.value, t.left, r.left), r.right)
	}
	return node(t.key, t.value, t.left, r)
}

func (t *tree[V]) remove(key int32) *tree[V] {
	switch {
	case t == nil:
		return nil
	case key == t.key:
		return join(t.left, t.right)
	case key < t.key:
		return node(t.key, t.value, t.left.remove(key), t.right)
	}
	return node(t.key, t.value, t.left, t.right.remove(key))
}

// join is the tree of all of a, which are less than all of b, and b.
func join[V content[V]](a, b *tree[V]) *tree[V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case above(a.key, b.key):
		return node(a.key, a.value, a.left, join(a.right, b))
	}
	return node(b.key, b.value, join(a, b.left), b.right)
}

// least is the least key; t is not empty.
func (t *tree[V]) least() int32 {
	for t.left != nil {
		t = t.left
	}
	return t.key
}

func (t *tree[V]) keys(to []int32) []int32 {
	if t == nil {
		return to
	}
	return t.right.keys(append(t.left.keys(to), t.key))
}

func same[V content[V]](a, b *tree[V]) bool {
	if a == b {
		return true
	}
	if a.hash() != b.hash() || a.count() != b.count() {
		return false
	}
	return a.key == b.key && a.value.equal(b.value) && same(a.left, b.left) && same(a.right, b.right)
}

// Bytes is about what the last step allocated: the rest is shared.
func (t *tree[V]) Bytes() int { return 56 * bits.Len32(uint32(t.count())) }
