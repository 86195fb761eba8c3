package predicate

import (
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// version is one that a key had.
type version struct {
	value         log.Value
	txn, mop      int32 // None: it was there from the beginning, which is unborn
	alive, failed bool
	inner         bool // its transaction replaced it
}

// key has its versions: the first came before all others, among which no order
// is known.
type key struct {
	versions  []version
	installed []*version // those that may have been seen after a commit
	gone      []*version // those of them in which the key is not there
}

// written is a value of a key.
type written struct {
	key   int32
	value log.Value
}

// versions finds all versions of all keys.
func (u *Universe) versions() error {
	u.keys = make([]key, len(u.Log.Keys))
	writer := map[written]int32{} // other than failed transactions
	for t := range u.Log.Txns {
		x := &u.Log.Txns[t]
		for i := x.First; i < x.Last; i++ {
			m := u.Log.Mops[i]
			if !m.Fun.Writes() {
				continue
			}
			if w := (written{m.Key, m.Value}); m.Fun != log.Delete && x.Outcome != log.Fail {
				if first, ok := writer[w]; ok && first != int32(t) {
					return fmt.Errorf("key %s: both %s and %s write %s, but the values of a key must be unique to tell its versions apart",
						u.Log.Keys[m.Key], u.Log.Name(first), u.Log.Name(int32(t)), u.Log.Text(m.Value))
				}
				writer[w] = int32(t)
			}
			k := &u.keys[m.Key]
			if n := len(k.versions); n > 0 && k.versions[n-1].txn == int32(t) {
				k.versions[n-1].inner = true
			}
			k.versions = append(k.versions, version{value: m.Value, txn: int32(t), mop: i, alive: m.Fun != log.Delete, failed: x.Outcome == log.Fail})
		}
	}
	u.known = map[written]*version{}
	for k := range u.keys {
		u.first(&u.keys[k])
		u.sort(int32(k))
	}
	return nil
}

// first puts the version that came before all others in front: that of init, or
// else unborn. Init is trusted: its keys never were unborn.
func (u *Universe) first(k *key) {
	v := version{value: u.unborn, txn: infer.None, mop: infer.None}
	at := slices.IndexFunc(k.versions, func(v version) bool { return u.init != infer.None && v.txn == u.init })
	if at >= 0 {
		v = k.versions[at]
		k.versions = slices.Delete(k.versions, at, at+1)
	}
	k.versions = slices.Insert(k.versions, 0, v)
}

// sort finds which versions of a key were installed, and which is known by which
// value. A transaction may write a value again, and one that failed what another
// one wrote: the version that was installed counts, and only then others.
func (u *Universe) sort(k int32) {
	at := &u.keys[k]
	for i := range at.versions {
		v := &at.versions[i]
		if !v.inner && !v.failed {
			at.installed = append(at.installed, v)
			if !v.alive {
				at.gone = append(at.gone, v)
			}
		}
		best := u.known[written{k, v.value}]
		if v.alive && (best == nil || best.failed && !v.failed || best.inner && !v.inner && !v.failed) {
			u.known[written{k, v.value}] = v
		}
	}
}

// absent is the version that t saw when it read nothing; nil if there are
// several. A key of init that was never deleted can have been missed by a read
// only before init.
func (u *Universe) absent(t, k int32) *version {
	v, several := only(t, u.keys[k].gone, func(*version) bool { return true })
	if v == nil && !several {
		return &version{value: u.unborn, txn: infer.None, mop: infer.None}
	}
	return v
}

// only is the only version of others than t which is of a kind; nil if there is
// none, or several.
func only(t int32, of []*version, is func(*version) bool) (found *version, several bool) {
	for _, v := range of {
		if v.txn == t || !is(v) {
			continue
		}
		if found != nil {
			return nil, true
		}
		found = v
	}
	return found, false
}

// later are the versions that certainly came after one.
func (u *Universe) later(k int32, v *version) []*version {
	all := u.keys[k].installed
	switch {
	case v.txn == infer.None && all[0].txn != infer.None:
		return all // before init
	case all[0].txn == v.txn:
		return all[1:]
	}
	return nil
}
