package chain

import "fmt"

// rename gives each operation that sets a value which was set before a value
// of its own. That changes nothing as long as nobody saw or compared the value.
func (t *table) rename() error {
	if len(t.again) == 0 {
		return nil
	}
	found := map[int32]bool{} // compared with by those that did not tell
	for _, ids := range [][]int32{t.opaque, t.crashed, t.again} {
		for _, i := range ids {
			if t.isCAS(i) {
				found[t.ops[i].In.A] = true
			}
		}
	}
	t.alias = make(map[int32]int32, len(t.again))
	for _, i := range t.again {
		v := t.target(i)
		c := &t.vals[v]
		if c.seen() || found[v] || t.isCAS(i) || c.set >= 0 && t.isCAS(c.set) {
			return fmt.Errorf("value %d is set more than once", v)
		}
	}
	for _, i := range t.again {
		t.alias[i] = int32(len(t.vals))
		t.vals = append(t.vals, unknown)
		t.place(&t.vals[len(t.vals)-1], i)
	}
	return nil
}

// settle finds out which crashed operations took effect: those of which
// somebody saw the value, or replaced it by a cas that took effect in turn. To
// drop the others changes nothing, unless there are opaque operations.
func (t *table) settle() {
	var work []int32
	for _, i := range t.crashed {
		if t.vals[t.target(i)].seen() {
			work = append(work, i)
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		v := t.target(i)
		c, o := &t.vals[v], &t.ops[i]
		if c.b == o.Call { // seen to have taken effect already
			continue
		}
		c.b = o.Call
		c.touch(i, o)
		if !t.isCAS(i) {
			continue
		}
		t.link(o.In.A, v, i)
		if from := t.vals[o.In.A].set; from >= 0 && t.ops[from].Crashed {
			work = append(work, from)
		}
	}
	for _, i := range t.crashed {
		if c := &t.vals[t.target(i)]; !c.seen() {
			c.set = none
			t.wild = append(t.wild, i)
		}
	}
}
