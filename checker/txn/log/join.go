package log

// renaming says what the numbers of another builder are here.
type renaming struct {
	keys, texts, nodes []int32
	sets               Value // how far they are moved
	// chains has, for keys where they differ, what the chains are here.
	chains map[int32][]int32
}

// absorb takes over all of another builder, whose events come later by so many.
func (b *builder) absorb(o *builder, events int32) *renaming {
	r := &renaming{chains: map[int32][]int32{}}
	for _, name := range o.log.Texts {
		r.texts = append(r.texts, int32(b.textValue(name)))
	}
	for _, name := range o.log.Nodes {
		r.nodes = append(r.nodes, b.node(name))
	}
	for _, name := range o.log.Keys {
		r.keys = append(r.keys, b.keyNamed(name))
	}
	for k := range o.keys {
		b.absorbChains(int32(k), &o.keys[k], r)
	}
	b.lists = b.lists || o.lists
	r.sets = Value(len(b.log.Sets)) - 1
	for _, set := range o.log.Sets[1:] {
		r.rename(set)
		b.log.Sets = append(b.log.Sets, set)
	}
	at := int32(len(b.log.Mops))
	b.absorbMops(o, r)
	b.log.Txns = append(b.log.Txns, o.log.Txns...)
	for i := len(b.log.Txns) - len(o.log.Txns); i < len(b.log.Txns); i++ {
		t := &b.log.Txns[i]
		t.First, t.Last, t.Node = t.First+at, t.Last+at, r.nodes[t.Node]
		t.Complete += events
		if t.Invoke != Never {
			t.Invoke += events
		}
	}
	return r
}

// keyNamed finds the number of a key by its JSON.
func (b *builder) keyNamed(name string) int32 {
	s := scanner{b: []byte(name)}
	if n, ok := s.integer(); ok {
		if at, known := b.number.get(n); known {
			return at
		}
		at := b.newKey(name)
		b.number.set(n, at)
		return at
	}
	return b.namedKey(name)
}

// value is a value of the other builder here.
func (r *renaming) value(v Value) Value {
	if v >= Nil {
		return v
	}
	return Value(r.texts[-2-v])
}

// absorbChains takes over the lists of a key.
func (b *builder) absorbChains(key int32, o *keyLists, r *renaming) {
	mine := &b.keys[r.keys[key]]
	if len(r.texts) > 0 {
		r.rename(o.values)
		for _, c := range o.others {
			r.rename(c.values)
		}
	}
	if len(mine.values) == 0 && len(mine.others) == 0 {
		mine.chain = o.chain
	} else if !mine.fits(o.values) || len(o.others) > 0 {
		r.chains[key] = []int32{mine.place(o.values)}
	}
	for _, c := range o.others {
		if r.chains[key] == nil {
			r.chains[key] = []int32{0}
		}
		r.chains[key] = append(r.chains[key], mine.place(c.values))
	}
}

func (r *renaming) rename(values []Value) {
	for i := range values {
		values[i] = r.value(values[i])
	}
}

// place finds or makes the chain that a list fits: 0 is the first, others
// follow.
func (k *keyLists) place(values []Value) int32 {
	if k.fits(values) {
		return 0
	}
	for i := range k.others {
		if k.others[i].fits(values) {
			return int32(i + 1)
		}
	}
	k.others = append(k.others, chain{values: values})
	return int32(len(k.others))
}

// absorbMops takes over the micro-operations.
func (b *builder) absorbMops(o *builder, r *renaming) {
	strays := o.strays
	for i, m := range o.log.Mops {
		key := m.Key
		m.Key = r.keys[key]
		if m.Fun == Set {
			if m.Value > 0 {
				m.Value += r.sets
			}
		} else if m.Fun != List {
			m.Value = r.value(m.Value)
		} else if len(r.chains) > 0 || len(strays) > 0 {
			from := int32(0)
			if len(strays) > 0 && strays[0].mop == int32(i) {
				from, strays = strays[0].chain+1, strays[1:]
			}
			to := from
			if c, differs := r.chains[key]; differs {
				to = c[from]
			}
			if to > 0 {
				b.strays = append(b.strays, stray{int32(len(b.log.Mops)), to - 1})
			}
		}
		b.log.Mops = append(b.log.Mops, m)
	}
}

// finish makes the log.
func (b *builder) finish() *Log {
	if b.lists {
		b.nilLists()
	}
	l := &b.log
	l.Longest = make([][]Value, len(b.keys))
	swapped := map[int32]int{} // keys whose longest chain is not the first
	for k := range b.keys {
		best := 0
		l.Longest[k] = b.keys[k].values
		for i, c := range b.keys[k].others {
			if len(c.values) > len(l.Longest[k]) {
				best, l.Longest[k] = i+1, c.values
			}
		}
		if best > 0 {
			swapped[int32(k)] = common(b.keys[k].values, l.Longest[k])
		}
	}
	if len(b.strays) > 0 {
		b.settle(swapped)
	}
	return l
}

// nilLists makes reads of nil reads of empty lists.
func (b *builder) nilLists() {
	for i := range b.log.Mops {
		if m := &b.log.Mops[i]; m.Fun == Read && m.Value == Nil {
			m.Fun, m.Value = List, 0
		}
	}
}

func common(a, b []Value) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// settle makes the reads odd that are no prefixes of the longest list.
func (b *builder) settle(swapped map[int32]int) {
	type list struct{ key, chain, length int32 }
	ids := map[list]Value{}
	l := &b.log
	strays := b.strays
	for i := range l.Mops {
		m := &l.Mops[i]
		if m.Fun != List {
			continue
		}
		at := int32(-1)
		if len(strays) > 0 && strays[0].mop == int32(i) {
			at, strays = strays[0].chain, strays[1:]
		} else if _, moved := swapped[m.Key]; !moved {
			continue
		}
		values := b.keys[m.Key].values
		if at >= 0 {
			values = b.keys[m.Key].others[at].values
		}
		if int(m.Value) <= common(values, l.Longest[m.Key]) {
			continue
		}
		name := list{m.Key, at, int32(m.Value)}
		id, known := ids[name]
		if !known {
			id = Value(len(l.Odd))
			ids[name] = id
			l.Odd = append(l.Odd, values[:m.Value:m.Value])
		}
		m.Fun, m.Value = Odd, id
	}
}
