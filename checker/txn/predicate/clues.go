package predicate

// nobody wrote any version, not even those that are unborn.
const nobody = -2

// clue says which version of a key a predicate read looked at that does not
// return it: the only one that does not match. It is nil if all of them do: then
// the read missed the key.
type clue struct {
	key     int32
	version *version
}

// clues are the keys of which a read by each test says something if it does not
// return them, so that nobody looks at all keys for each read.
type clues struct {
	*Universe
	of map[test][]clue
	// sorted has the families of tests that were sorted into of: those that
	// differ in the remainder or the value only, so that a value fulfils one of
	// them at most.
	sorted map[test]bool
	// constant are the keys that only have the version of init.
	constant []clue
	// complete are the tests of which of has the constant key, too.
	complete map[test]bool
}

func (u *Universe) clues() *clues {
	c := &clues{Universe: u, of: map[test][]clue{}, sorted: map[test]bool{}, complete: map[test]bool{}}
	for k := range u.keys {
		if all := u.keys[k].installed; len(all) == 1 && all[0].alive {
			c.constant = append(c.constant, clue{int32(k), all[0]})
		}
	}
	return c
}

// told are the clues of a test. Of the constant keys that do not match, which all
// say the same of init, there is one.
func (c *clues) told(t test) []clue {
	if c.complete[t] {
		return c.of[t]
	}
	c.complete[t] = true
	if family := (test{f: t.f, m: t.m}); !c.sorted[family] {
		c.sorted[family] = true
		for k := range c.keys {
			c.sort(family, int32(k))
		}
	}
	for _, k := range c.constant {
		if !c.matches(t, k.version) {
			c.of[t] = append(c.of[t], k)
			break
		}
	}
	return c.of[t]
}

// sort gives the tests of a family their clues of a key. All versions but one at
// most fulfil such a test, so one of the first two does.
func (c *clues) sort(family test, k int32) {
	all := c.keys[k].installed
	last := test{}
	for _, v := range all[:min(2, len(all))] {
		t, ok := family.of(c.Log.Text(v.value))
		if !v.alive || !ok || t == last {
			continue
		}
		last = t
		if v, several := c.unlike(nobody, k, t); !several {
			c.of[t] = append(c.of[t], clue{k, v})
		}
	}
}

// unlike is the only version of a key by others than t that does not match; nil
// if there is none, or several.
func (u *Universe) unlike(t, k int32, by test) (v *version, several bool) {
	return only(t, u.keys[k].installed, func(v *version) bool { return !u.matches(by, v) })
}

func (u *Universe) matches(t test, v *version) bool {
	return v.alive && t.matches(u.Log.Text(v.value))
}
