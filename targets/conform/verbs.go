package conform

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/lock"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/predicate"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
	"github.com/capstan-dev/capstan/workloads/txn"
	"github.com/capstan-dev/capstan/workloads/watch"
	"github.com/capstan-dev/capstan/workloads/writeskew"
)

// verbs tries what each workload asks of a connection, on a node that takes
// writes and with nobody else about.
func (s *suite) verbs(t *testing.T) {
	conn := s.open(t, s.node)
	has[register.Store](t, "register", conn, s.register)
	has[set.Store](t, "set", conn, s.set)
	has[counter.Store](t, "counter", conn, s.counter)
	has[txn.Appender](t, "append", conn, s.append)
	has[txn.Registers](t, "wr", conn, s.wr)
	has[predicate.Store](t, "predicate", conn, s.predicate)
	has[bank.Store](t, "bank", conn, s.bank)
	has[monotonic.Store](t, "monotonic", conn, s.monotonic)
	has[ids.Store](t, "ids", conn, s.ids)
	has[writeskew.Store](t, "write-skew", conn, s.writeSkew)
	has[watch.Store](t, "watch", conn, s.watch)
	if l, ok := conn.(lock.Store); ok {
		t.Run("lock", func(t *testing.T) { s.lock(t, l, s.open(t, s.node).(lock.Store)) })
	}
}

func has[T any](t *testing.T, name string, conn io.Closer, f func(*testing.T, context.Context, T)) {
	if store, ok := conn.(T); ok {
		t.Run(name, func(t *testing.T) { f(t, Within(t, 2*callLimit), store) })
	}
}

func (s *suite) register(t *testing.T, ctx context.Context, r register.Store) {
	k := s.number()
	read := func(want int, there bool) {
		t.Helper()
		if v, ok, err := r.Read(ctx, k); err != nil || ok != there || v != want {
			t.Errorf("read: %d, %t, %v; want %d, %t", v, ok, err, want, there)
		}
	}
	read(0, false)
	got, err := r.CAS(ctx, k, 1, 2)
	if errors.Is(err, history.ErrNotOffered) {
		Must(t, r.Write(ctx, k, 1))
		Must(t, r.Write(ctx, k, 2))
		read(2, true)
		return
	}
	if err != nil || got.Done || got.Known && !got.Absent {
		t.Errorf("cas of an absent key: %+v, %v", got, err)
	}
	read(0, false)
	Must(t, r.Write(ctx, k, 1))
	Must(t, r.Write(ctx, k, 2))
	read(2, true)
	if got, err := r.CAS(ctx, k, 1, 3); err != nil || got.Done || got.Known && (got.Absent || got.Value != 2) {
		t.Errorf("cas from a wrong value: %+v, %v", got, err)
	}
	read(2, true)
	if got, err := r.CAS(ctx, k, 2, 3); err != nil || !got.Done {
		t.Errorf("cas: %+v, %v", got, err)
	}
	read(3, true)
}

func (s *suite) set(t *testing.T, ctx context.Context, st set.Store) {
	before, err := st.ReadAll(ctx)
	Must(t, err)
	want := slices.Clone(before)
	for range 5 {
		x := s.number()
		Must(t, st.Add(ctx, x))
		want = append(want, x)
	}
	got, err := st.ReadAll(ctx)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
}

func (s *suite) counter(t *testing.T, ctx context.Context, c counter.Store) {
	before, err := c.Get(ctx)
	Must(t, err)
	Must(t, c.AddTo(ctx, 2))
	Must(t, c.AddTo(ctx, 3))
	if got, err := c.Get(ctx); err != nil || got != before+5 {
		t.Errorf("%d and 2 and 3 is %d, %v", before, got, err)
	}
}

func (s *suite) append(t *testing.T, ctx context.Context, a txn.Appender) {
	j, k := s.number(), s.number()
	first, err := a.AppendTxn(ctx, []txn.Mop{{F: "r", Key: k}, {F: "append", Key: k, Value: 1}, {F: "append", Key: k, Value: 2}, {F: "r", Key: k}})
	Must(t, err)
	if len(first[0].List) != 0 || !slices.Equal(first[3].List, []int{1, 2}) {
		t.Errorf("a transaction does not see itself: %+v", first)
	}
	_, err = a.AppendTxn(ctx, []txn.Mop{{F: "append", Key: k, Value: 3}, {F: "append", Key: j, Value: 4}})
	Must(t, err)
	second, err := a.AppendTxn(ctx, []txn.Mop{{F: "r", Key: j}, {F: "r", Key: k}})
	Must(t, err)
	if !slices.Equal(second[0].List, []int{4}) || !slices.Equal(second[1].List, []int{1, 2, 3}) {
		t.Errorf("read %+v", second)
	}
}

func (s *suite) wr(t *testing.T, ctx context.Context, r txn.Registers) {
	j, k := s.number(), s.number()
	first, err := r.WriteTxn(ctx, []txn.Mop{{F: "r", Key: k}, {F: "w", Key: k, Value: 1}, {F: "r", Key: k}, {F: "w", Key: j, Value: 2}, {F: "w", Key: k, Value: 3}})
	Must(t, err)
	if first[0].Known || !first[2].Known || first[2].Value != 1 {
		t.Errorf("a transaction does not see itself: %+v", first)
	}
	second, err := r.WriteTxn(ctx, []txn.Mop{{F: "r", Key: j}, {F: "r", Key: k}})
	Must(t, err)
	if second[0].Value != 2 || second[1].Value != 3 {
		t.Errorf("read %+v", second)
	}
}

func (s *suite) predicate(t *testing.T, ctx context.Context, p predicate.Store) {
	j, k := s.number(), s.number()
	all := predicate.Mop{F: "rp", Test: predicate.Test{F: "true"}}
	equal := predicate.Mop{F: "rp", Test: predicate.Test{F: "=", Value: k}}
	odd := predicate.Mop{F: "rp", Test: predicate.Test{F: "mod", Modulus: 1000, Value: k + 1}}
	do := func(mops ...predicate.Mop) []predicate.Mop {
		t.Helper()
		done, err := p.PredicateTxn(ctx, mops)
		Must(t, err)
		return done
	}
	found := func(m predicate.Mop, want map[int]int) {
		t.Helper()
		if !maps.Equal(m.Found, want) {
			t.Errorf("%+v found %v, want %v", m.Test, m.Found, want)
		}
	}
	before := do(all, predicate.Mop{F: "r", Key: k})
	if before[1].Known {
		t.Errorf("an absent key has the value %d", before[1].Value)
	}
	now := maps.Clone(before[0].Found)
	now[j], now[k] = 1000+k+1, k
	mine := do(predicate.Mop{F: "insert", Key: k, Value: k}, predicate.Mop{F: "w", Key: j, Value: k}, predicate.Mop{F: "w", Key: j, Value: 1000 + k + 1}, all)
	found(mine[3], now)
	for _, unmet := range []predicate.Mop{{F: "insert", Key: k, Value: 1}, {F: "delete", Key: s.number()}} {
		if _, err := p.PredicateTxn(ctx, []predicate.Mop{{F: "delete", Key: j}, unmet}); !errors.Is(err, history.ErrUnmet) {
			t.Errorf("%s of %d: %v, want %v", unmet.F, unmet.Key, err, history.ErrUnmet)
		}
	}
	then := do(all, equal, odd, predicate.Mop{F: "r", Key: k}, predicate.Mop{F: "delete", Key: k}, predicate.Mop{F: "r", Key: k}, equal)
	found(then[0], now)
	found(then[1], map[int]int{k: k})
	found(then[2], map[int]int{j: 1000 + k + 1})
	found(then[6], nil)
	if !then[3].Known || then[3].Value != k || then[5].Known {
		t.Errorf("read %+v before a delete and %+v after it", then[3], then[5])
	}
}

// The bank that the tests open.
const accounts, balance = 2, 1000

func (s *suite) bank(t *testing.T, ctx context.Context, b bank.Store) {
	Must(t, b.OpenAccounts(ctx, accounts, balance))
	Must(t, b.OpenAccounts(ctx, accounts, balance)) // does nothing
	before, err := b.Balances(ctx)
	if err != nil || len(before) != accounts || before[0]+before[1] != accounts*balance {
		t.Fatalf("balances %v, %v", before, err)
	}
	done, err := b.Transfer(ctx, 0, 1, 7)
	if err != nil || !done {
		t.Errorf("transfer: %t, %v", done, err)
	}
	if done, err := b.Transfer(ctx, 0, 1, accounts*balance+1); err != nil || done {
		t.Errorf("transfer of more than there is: %t, %v", done, err)
	}
	if after, err := b.Balances(ctx); err != nil || !slices.Equal(after, []int{before[0] - 7, before[1] + 7}) {
		t.Errorf("balances %v after a transfer of 7 from %v, %v", after, before, err)
	}
}

func (s *suite) monotonic(t *testing.T, ctx context.Context, m monotonic.Store) {
	j, k := s.number(), s.number()
	for want := 1; want <= 3; want++ {
		if got, err := m.Increment(ctx, k); err != nil || got != want {
			t.Errorf("increment: %d, %v; want %d", got, err, want)
		}
	}
	if got, err := m.ReadMany(ctx, []int{k, j, k}); err != nil || !slices.Equal(got, []int{3, 0, 3}) {
		t.Errorf("read %v, %v; want [3 0 3]", got, err)
	}
}

func (s *suite) ids(t *testing.T, ctx context.Context, g ids.Store) {
	seen := map[string]bool{}
	for range 20 {
		id, err := g.NextID(ctx)
		Must(t, err)
		if id == "" || seen[id] {
			t.Errorf("identifier %q again, or none", id)
		}
		seen[id] = true
	}
}

func (s *suite) writeSkew(t *testing.T, ctx context.Context, w writeskew.Store) {
	for table := range 2 {
		k := s.number()
		if done, err := w.InsertUnless(ctx, k, table, s.number()); err != nil || !done {
			t.Errorf("first insert: %t, %v", done, err)
		}
		for again := range 2 {
			if done, err := w.InsertUnless(ctx, k, again, s.number()); err != nil || done {
				t.Errorf("second insert into table %d: %t, %v", again, done, err)
			}
		}
	}
}

func (s *suite) watch(t *testing.T, ctx context.Context, w watch.Store) {
	from := int64(0)
	for {
		vs, rev, err := w.Watch(ctx, from)
		Must(t, err)
		from = rev
		if len(vs) == 0 {
			break
		}
	}
	var want, got []int
	for range 3 {
		want = append(want, s.number())
		Must(t, w.WriteWatched(ctx, want[len(want)-1]))
	}
	for len(got) < len(want) {
		vs, rev, err := w.Watch(ctx, from)
		Must(t, err)
		if rev < from {
			t.Fatalf("revision %d after %d", rev, from)
		}
		got, from = append(got, vs...), rev
	}
	if !slices.Equal(got, want) {
		t.Errorf("watched %v, want %v", got, want)
	}
}

// lease is long enough for the test, leaseShort one that it waits for. Some
// systems know no shorter ones.
const lease, leaseShort = time.Minute, 2 * time.Second

func (s *suite) lock(t *testing.T, a, b lock.Store) {
	k := s.number()
	ctx := Within(t, 3*callLimit)
	acquire := func(l lock.Store, owner string, d time.Duration, want bool) int64 {
		t.Helper()
		token, ok, err := l.Acquire(ctx, k, owner, d)
		if err != nil || ok != want {
			t.Errorf("%s acquires: %t, %v; want %t", owner, ok, err, want)
		}
		return token
	}
	first := acquire(a, "a", lease, true)
	acquire(b, "b", lease, false)
	Must(t, b.Release(ctx, k, "b")) // gives back nothing
	acquire(b, "b", lease, false)
	if list, err := a.Load(ctx, k); err != nil || len(list) != 0 {
		t.Errorf("load: %v, %v", list, err)
	}
	save := func(l lock.Store, list []int, token int64, want bool) {
		t.Helper()
		if ok, err := l.Save(ctx, k, list, token); err != nil || ok != want {
			t.Errorf("save %v with token %d: %t, %v; want %t", list, token, ok, err, want)
		}
	}
	save(a, []int{1}, first, true)
	Must(t, a.Release(ctx, k, "a"))
	second := acquire(b, "b", leaseShort, true)
	save(b, []int{1, 2}, second, true)
	if first != 0 || second != 0 {
		if second <= first {
			t.Errorf("token %d after %d", second, first)
		}
		save(a, []int{9}, first, false)
	}
	if list, err := b.Load(ctx, k); err != nil || !slices.Equal(list, []int{1, 2}) {
		t.Errorf("load: %v, %v", list, err)
	}
	for end := time.Now().Add(4 * leaseShort); ; time.Sleep(leaseShort / 10) {
		if _, ok, err := a.Acquire(ctx, k, "a", lease); err == nil && ok {
			return
		} else if time.Now().After(end) {
			t.Fatalf("the lease does not end: %t, %v", ok, err)
		}
	}
}
