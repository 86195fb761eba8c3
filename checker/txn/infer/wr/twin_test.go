package wr_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/graph"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// small is a random history of a few transactions on two keys, each of which
// writes a key at most once. Most of what is read was written by then.
func small(rng *rand.Rand) string {
	var s strings.Builder
	written := map[byte]int{}
	type event struct{ from, to int }
	busy := map[int]int{}
	position := 0
	for range 2 + rng.IntN(5) {
		p := rng.IntN(3)
		e := event{from: max(position-rng.IntN(6), busy[p]), to: position + 1 + rng.IntN(3)}
		position = e.to + 1
		busy[p] = position
		outcome := []string{"ok", "ok", "ok", "info"}[rng.IntN(4)]
		fmt.Fprintf(&s, "%d %s %d %d", p, outcome, e.from*3, e.to*3+1)
		wrote := map[byte]bool{}
		for range 1 + rng.IntN(3) {
			k := "xy"[rng.IntN(2)]
			if rng.IntN(2) == 0 && !wrote[k] {
				wrote[k] = true
				written[k]++
				fmt.Fprintf(&s, " w%c%d", k, written[k])
			} else if n := rng.IntN(written[k] + 1); n > 0 && !wrote[k] {
				fmt.Fprintf(&s, " r%c%d", k, n)
			} else if !wrote[k] {
				fmt.Fprintf(&s, " r%c_", k)
			}
		}
		s.WriteString("\n")
	}
	return s.String()
}

// order is the relation on the values of each key, by the definition of the
// options: between all pairs of transactions.
func order(l *log.Log, o wr.Options) map[int32]map[[2]log.Value]bool {
	out := map[int32]map[[2]log.Value]bool{}
	type ends struct{ first, last log.Value }
	touch := func(t, key int32) (e ends, ok bool) {
		for _, m := range l.Of(t) {
			if m.Key != key || m.Fun == log.Blind {
				continue
			}
			if !ok {
				e.first, ok = m.Value, true
			}
			if m.Fun == log.Write || e.last == 0 {
				e.last = m.Value
			}
		}
		return e, ok
	}
	for k := range int32(len(l.Keys)) {
		r := map[[2]log.Value]bool{}
		add := func(u, v log.Value) {
			if u != v {
				r[[2]log.Value{u, v}] = true
			}
		}
		for a := range l.Txns {
			ea, ok := touch(int32(a), k)
			if !ok {
				continue
			}
			add(log.Nil, ea.first)
			add(log.Nil, ea.last)
			add(ea.first, ea.last)
			for b := range l.Txns {
				x, y := &l.Txns[a], &l.Txns[b]
				eb, ok := touch(int32(b), k)
				if a == b || !ok {
					continue
				}
				if o.Sequential && x.Process == y.Process && a < b && x.Outcome == log.OK && y.Outcome == log.OK ||
					o.Linearizable && x.Outcome == log.OK && x.Complete < y.Invoke {
					add(ea.last, eb.first)
				}
			}
		}
		out[k] = closed(r)
	}
	return out
}

// closed is the transitive closure of a relation.
func closed[T comparable](r map[[2]T]bool) map[[2]T]bool {
	for {
		n := len(r)
		for a := range r {
			for b := range r {
				if a[1] == b[0] {
					r[[2]T{a[0], b[1]}] = true
				}
			}
		}
		if len(r) == n {
			return r
		}
	}
}

// TestTwin compares the sweeps with the definition on all pairs.
func TestTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	cyclic, ordered := 0, 0
	for range 20_000 {
		text := small(rng)
		l := history(t, text)
		if overlaps(l) {
			continue
		}
		for _, o := range []wr.Options{{WritesFollowReads: true}, {Sequential: true}, {Linearizable: true}} {
			in, err := wr.Infer(l, o)
			if err != nil {
				t.Fatal(err)
			}
			want := order(l, o)
			bad := map[int32]bool{}
			for k, r := range want {
				for p := range r {
					bad[k] = bad[k] || p[0] == p[1]
				}
			}
			got := map[int32]bool{}
			for _, f := range in.Found.All {
				if f.Kind == "cyclic-versions" {
					got[f.Key] = true
				}
			}
			for k := range int32(len(l.Keys)) {
				if got[k] != bad[k] {
					t.Fatalf("%+v\n%skey %s: cyclic %v, want %v", o, text, l.Keys[k], got[k], bad[k])
				}
			}
			if len(got) > 0 {
				cyclic++
				continue
			}
			ordered++
			compare(t, l, text, o, want, in.Edges)
		}
	}
	if cyclic < 1000 || ordered < 1000 {
		t.Errorf("%d cyclic and %d ordered histories: too few", cyclic, ordered)
	}
}

// overlaps says whether a process has two transactions at once.
func overlaps(l *log.Log) bool {
	for i := range l.Txns {
		for j := range i {
			if a, b := l.Txns[i], l.Txns[j]; a.Process == b.Process && a.Invoke < b.Complete && b.Invoke < a.Complete {
				return true
			}
		}
	}
	return false
}

// compare checks that exactly those transactions are ordered that the values
// order: the writer or a reader of one before the writer of a later one.
func compare(t *testing.T, l *log.Log, text string, o wr.Options, want map[int32]map[[2]log.Value]bool, edges []graph.Edge) {
	t.Helper()
	type use struct{ readers, writers []int32 }
	uses := map[log.Mop]*use{}
	at := func(k int32, v log.Value) *use {
		m := log.Mop{Key: k, Value: v}
		if uses[m] == nil {
			uses[m] = &use{}
		}
		return uses[m]
	}
	for i := range l.Txns {
		seen := map[int32]bool{}
		for _, m := range l.Of(int32(i)) {
			switch {
			case m.Fun == log.Write:
				at(m.Key, m.Value).writers = append(at(m.Key, m.Value).writers, int32(i))
			case m.Fun == log.Read && !seen[m.Key]:
				at(m.Key, m.Value).readers = append(at(m.Key, m.Value).readers, int32(i))
			}
			seen[m.Key] = true
		}
	}
	wanted := map[string]bool{}
	for m, u := range uses {
		for _, r := range u.readers {
			for _, w := range u.writers {
				wanted[fmt.Sprint("wr ", w, r)] = true
			}
		}
		for p := range want[m.Key] {
			if p[0] != m.Value {
				continue
			}
			for _, w := range at(m.Key, p[1]).writers {
				for _, x := range u.writers {
					wanted[fmt.Sprint("ww ", x, w)] = true
				}
				for _, r := range u.readers {
					if r != w {
						wanted[fmt.Sprint("rw ", r, w)] = true
					}
				}
			}
		}
	}
	for _, e := range edges {
		if name := fmt.Sprint(e.Head.Class(), " ", e.From, e.Head.To()); !wanted[name] {
			t.Fatalf("%+v\n%s%s is not by definition", o, text, name)
		}
	}
	reach := reachable(len(l.Txns), edges)
	for name := range wanted {
		var c string
		var a, b int
		fmt.Sscanf(name, "%s %d %d", &c, &a, &b)
		if a != b && !reach[c == "rw"][[2]int{a, b}] && c != "wr" {
			t.Fatalf("%+v\n%s%s was not inferred", o, text, name)
		}
	}
}

// reachable are the pairs that are connected by writes overwritten, and those by
// at most one read overwritten first.
func reachable(n int, edges []graph.Edge) map[bool]map[[2]int]bool {
	ww, rw := map[[2]int]bool{}, map[[2]int]bool{}
	for _, e := range edges {
		p := [2]int{int(e.From), int(e.Head.To())}
		switch e.Head.Class() {
		case graph.WW:
			ww[p] = true
		case graph.RW:
			rw[p] = true
		}
	}
	ww = closed(ww)
	for _, p := range slices.Collect(maps.Keys(rw)) {
		for to := range n {
			if ww[[2]int{p[1], to}] {
				rw[[2]int{p[0], to}] = true
			}
		}
	}
	for p := range ww {
		rw[p] = true
	}
	return map[bool]map[[2]int]bool{false: ww, true: rw}
}
