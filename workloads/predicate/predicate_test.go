package predicate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"testing"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// memory runs one transaction after the other.
type memory struct {
	values map[int]int
	err    error
}

func (*memory) Close() error { return nil }

func (t Test) matches(v int) bool {
	return t.F == "true" || t.F == "=" && v == t.Value || t.F == "mod" && v%t.Modulus == t.Value
}

func (m *memory) PredicateTxn(_ context.Context, mops []Mop) ([]Mop, error) {
	now := maps.Clone(m.values)
	for i := range mops {
		o := &mops[i]
		v, there := now[o.Key]
		switch o.F {
		case "insert", "delete":
			if there != (o.F == "delete") {
				return nil, history.ErrUnmet
			}
		case "r":
			o.Value, o.Known = v, there
		case "rp":
			o.Found = maps.Clone(now)
			maps.DeleteFunc(o.Found, func(_, v int) bool { return !o.Test.matches(v) })
		}
		if o.F == "delete" {
			delete(now, o.Key)
		} else if o.Writes() {
			now[o.Key] = o.Value
		}
	}
	if m.err == nil {
		m.values = now
	}
	return mops, m.err
}

func TestInvoke(t *testing.T) {
	m := &memory{values: map[int]int{}}
	c, err := New(nil).Bind(m)
	if err != nil {
		t.Fatal(err)
	}
	invoke := func(f, value string) (string, error) {
		got, err := c.Invoke(t.Context(), gen.Op{F: f, Value: json.RawMessage(value)})
		return string(got), err
	}
	if got, err := invoke("init", `{"1":7,"2":8}`); got != "" || err != nil || !maps.Equal(m.values, map[int]int{1: 7, 2: 8}) {
		t.Errorf("init: %s, %v; %v", got, err, m.values)
	}
	in := `[["r",1,null],["rp",["=",8],null],["insert",3,17],["delete",2],["r",2,null],["w",1,9],["rp","true",null],["rp",["mod",10,7],null]]`
	want := `[["r",1,7],["rp",["=",8],{"2":8}],["insert",3,17],["delete",2],["r",2,null],["w",1,9],["rp","true",{"1":9,"3":17}],["rp",["mod",10,7],{"3":17}]]`
	if got, err := invoke("txn", in); got != want || err != nil {
		t.Errorf("%v, %s\nwant %s", err, got, want)
	}
	if _, err := invoke("txn", `[["w",5,1],["delete",2]]`); !errors.Is(err, history.ErrUnmet) {
		t.Errorf("delete of what is not there: %v", err)
	}
	m.err = errors.New("who knows")
	if _, err := invoke("txn", `[["w",5,1]]`); errors.Is(err, history.ErrNotApplied) || err == nil {
		t.Errorf("an error that leaves it open: %v", err)
	}
	m.err = nil
	for f, bad := range map[string]string{
		"read": "null", "txn": `{}`, "init": `[]`, "txn 1": `[["r"]]`, "txn 2": `[["insert",1]]`, "txn 3": `[["append",1,2]]`, "txn 4": `[["rp","some",null]]`,
		"txn 5": `[["rp",["mod",1],null]]`, "txn 6": `[["rp",["=",1,2],null]]`, "txn 7": `[["rp",["=",1,2,3],null]]`, "txn 8": `[["rp",["=","x"],null]]`,
	} {
		if got, err := invoke(f[:min(len(f), 4)], bad); !errors.Is(err, history.ErrNotApplied) {
			t.Errorf("%s %s: %s, %v", f, bad, got, err)
		}
	}
	if _, err := New(nil).Bind(io.NopCloser(nil)); err == nil {
		t.Error("bound to a connection without transactions")
	}
}

// TestPool runs the transactions one after the other: they are the same for a
// seed, all can be done, and a predicate finds what was written to its group.
func TestPool(t *testing.T) {
	a, b := newPool(7, 0), newPool(7, 0)
	m := &memory{values: initial()}
	written := map[[2]int]bool{}
	for k, v := range m.values {
		written[[2]int{k, v}] = true
	}
	did, unmet, most := map[string]int{}, 0, 0
	for range 5000 {
		x := a.txn()
		if string(encode(x, false)) != string(encode(b.txn(), false)) {
			t.Fatal("the same seed draws another transaction")
		}
		for _, o := range x {
			if at := [2]int{o.Key, o.Value}; o.F == "insert" || o.F == "w" {
				if written[at] {
					t.Fatalf("%+v: not unique", o)
				}
				written[at] = true
				if g := o.Key / groupKeys; o.Value%modulus != g {
					t.Fatalf("%+v: the predicate of group %d does not find it", o, g)
				}
			}
			did[o.F+o.Test.F]++
		}
		done, err := m.PredicateTxn(t.Context(), x)
		if err != nil {
			unmet++
		}
		for _, o := range done {
			if o.Test.F == "mod" {
				most = max(most, len(o.Found))
			}
		}
	}
	t.Logf("%v, %d unmet; %d rows; a predicate finds up to %d", did, unmet, len(m.values), most)
	for f, least := range map[string]int{"insert": 1000, "w": 1000, "delete": 100, "r": 1000, "rpmod": 1000, "rp=": 1000, "rptrue": 5} {
		if did[f] < least {
			t.Errorf("%d of %s, want at least %d", did[f], f, least)
		}
	}
	if unmet > 0 {
		t.Errorf("%d transactions cannot be done even one after the other", unmet)
	}
	if most > groupKeys {
		t.Errorf("a predicate finds %d keys, more than a group has", most)
	}
}
