package txn

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// memory runs one transaction after the other.
type memory struct {
	lists map[int][]int
	regs  map[int]int
	err   error
}

func (*memory) Close() error { return nil }

func (m *memory) AppendTxn(_ context.Context, mops []Mop) ([]Mop, error) {
	for i := range mops {
		o := &mops[i]
		if o.F == "append" {
			m.lists[o.Key] = append(m.lists[o.Key], o.Value)
		} else {
			o.List = append([]int{}, m.lists[o.Key]...)
		}
	}
	return mops, m.err
}

func (m *memory) WriteTxn(_ context.Context, mops []Mop) ([]Mop, error) {
	for i := range mops {
		o := &mops[i]
		if o.F == "w" {
			m.regs[o.Key] = o.Value
		} else {
			o.Value, o.Known = m.regs[o.Key]
		}
	}
	return mops, m.err
}

func bind(t *testing.T, w workloads.Workload, conn io.Closer) workloads.Client {
	t.Helper()
	c, err := w.Bind(conn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestInvoke(t *testing.T) {
	m := &memory{lists: map[int][]int{}, regs: map[int]int{}}
	tests := []struct {
		w        workloads.Workload
		in, want string
	}{
		{Append(nil), `[["r",1,null],["append",1,7],["append",1,8],["r",1,null]]`, `[["r",1,[]],["append",1,7],["append",1,8],["r",1,[7,8]]]`},
		{WR(nil), `[["r",1,null],["w",1,7],["r",1,null]]`, `[["r",1,null],["w",1,7],["r",1,7]]`},
	}
	for _, tt := range tests {
		got, err := bind(t, tt.w, m).Invoke(t.Context(), gen.Op{F: "txn", Value: json.RawMessage(tt.in)})
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.w.Name(), got, err, tt.want)
		}
		m.err = errors.New("who knows")
		if _, err := bind(t, tt.w, m).Invoke(t.Context(), gen.Op{F: "txn", Value: json.RawMessage(tt.in)}); errors.Is(err, history.ErrNotApplied) || err == nil {
			t.Errorf("%s: an error that leaves it open: %v", tt.w.Name(), err)
		}
		m.err = nil
		for _, bad := range []gen.Op{{F: "read"}, {F: "txn", Value: json.RawMessage(`{}`)}, {F: "txn", Value: json.RawMessage(`[[1,2,3]]`)}} {
			if _, err := bind(t, tt.w, m).Invoke(t.Context(), bad); !errors.Is(err, history.ErrNotApplied) {
				t.Errorf("%s %s %s: %v", tt.w.Name(), bad.F, bad.Value, err)
			}
		}
	}
}

func TestBindWantsTransactions(t *testing.T) {
	for _, w := range []workloads.Workload{Append(nil), WR(nil)} {
		if _, err := w.Bind(io.NopCloser(nil)); err == nil {
			t.Errorf("%s: bound to a connection without transactions", w.Name())
		}
	}
}

func TestPool(t *testing.T) {
	a, b := newPool(7, "append", 5), newPool(7, "append", 5)
	type write struct{ key, value int }
	seen := map[write]bool{}
	reads, writes, readOnly, writeOnly, longest := 0, 0, 0, 0, 0
	for range 2000 {
		x := a.txn()
		if string(encode(x, false)) != string(encode(b.txn(), false)) {
			t.Fatal("the same seed draws another transaction")
		}
		r := 0
		for _, m := range x {
			if m.F == "r" {
				r++
				continue
			}
			if seen[write{m.Key, m.Value}] || m.Value < 1 || m.Value > 5 {
				t.Fatalf("append of %d to %d: not unique, or beyond what a key gets", m.Value, m.Key)
			}
			seen[write{m.Key, m.Value}] = true
		}
		reads, writes, longest = reads+r, writes+len(x)-r, max(longest, len(x))
		if r == len(x) {
			readOnly++
		} else if r == 0 {
			writeOnly++
		}
	}
	if longest != mostMops || readOnly < 200 || writeOnly < 200 || reads < writes/2 || writes < reads/2 {
		t.Errorf("%d reads, %d writes, %d only read, %d only write, the longest has %d", reads, writes, readOnly, writeOnly, longest)
	}
	if n := len(a.used()); n < 100 {
		t.Errorf("%d keys were used: the pool does not rotate", n)
	}
}
