package linear

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/history"
)

// kind is what an operation does to the object.
type kind uint8

const (
	read    kind = iota // sees a
	write               // sets a
	cas                 // sees a, sets b
	acquire             // sees free, sets held
	release             // sees held, sets free
	end                 // see search
)

// model is a sequential specification: the operations it knows by their names
// in a history.
type model struct {
	name   string
	ops    []verb
	valued bool // it holds a value that can be given at the start
}

type verb struct {
	f    string
	kind kind
}

// models is constant.
var models = []model{
	{"register", []verb{{"read", read}, {"write", write}}, true},
	{"cas-register", []verb{{"read", read}, {"write", write}, {"cas", cas}}, true},
	{"mutex", []verb{{"acquire", acquire}, {"release", release}, {"lock", acquire}, {"unlock", release}}, false},
}

func (m model) kindOf(f string) (kind, bool) {
	for _, v := range m.ops {
		if v.f == f {
			return v.kind, true
		}
	}
	return 0, false
}

func (m model) verbs() string {
	var names []string
	for _, v := range m.ops {
		names = append(names, v.f)
	}
	return strings.Join(names, ", ")
}

// forever is the return of an operation that never returned.
const forever = math.MaxInt64

// op is one operation that matters: not failed, no info read. Values are the
// numbers of a keyOps' table. call and ret are positions in the key's history.
type op struct {
	kind      kind
	a, b      int32
	crashed   bool // it may have taken effect later, or never
	call, ret int64
	pair      int32 // in keyOps.pairs
	// class and turn are set by search for crashed operations that have
	// twins: class counts from 1, turn from 0.
	class, turn int32
}

// sees is the value that the operation needs to find, if it needs one.
func (o *op) sees() (int32, bool) {
	return o.a, o.kind == read || o.kind == cas
}

// sets is the value that the operation leaves behind, if it sets one.
func (o *op) sets() (int32, bool) {
	switch o.kind {
	case write:
		return o.a, true
	case cas:
		return o.b, true
	}
	return 0, false
}

// keyOps are the operations of one key.
type keyOps struct {
	name         string // the key; empty if the history has none
	mutex        bool
	init         int32
	values       []string // as JSON; the first is null
	pairs        []history.Pair
	ops          []op // in order of invocation
	total        int  // calls, the failed ones included
	acknowledged int
	failed       []op // failed writes and cas, for the explanation
	steps        preSteps
}

func (l *linear) parse(kh history.KeyHistory) (*keyOps, error) {
	pairs, err := history.Pairs(kh.History)
	if err != nil {
		return nil, err
	}
	k := &keyOps{name: kh.Key, pairs: pairs, total: len(pairs), mutex: !l.model.valued, values: []string{"null"}}
	at := map[string]int32{"null": 0}
	intern := func(v json.RawMessage) int32 {
		text := canonical(v)
		id, ok := at[text]
		if !ok {
			id = int32(len(k.values))
			at[text] = id
			k.values = append(k.values, text)
		}
		return id
	}
	wildcard := len(l.o.Init) > 0
	k.init = intern(l.o.Init)
	position := positions(kh.History)
	for i, p := range pairs {
		if p.Outcome() == history.OK {
			k.acknowledged++
		}
		o, err := l.op(p, intern)
		if err != nil {
			return nil, err
		}
		o.pair, o.call, o.ret, o.crashed = int32(i), position(p.Invoke), forever, p.Outcome() == history.Info
		if p.Complete != nil && !o.crashed {
			o.ret = position(p.Complete)
		}
		switch {
		case p.Outcome() == history.Fail:
			if o.kind != read {
				k.failed = append(k.failed, o)
			}
		case o.kind == read && (o.crashed || wildcard && o.a == 0):
		default:
			k.ops = append(k.ops, o)
		}
	}
	return k, nil
}

// positions gives each event a number that grows along the history: its index,
// unless an imported file has those out of order.
func positions(h *history.History) func(*history.Event) int64 {
	if slices.IsSortedFunc(h.Events, func(a, b history.Event) int {
		if a.Index < b.Index {
			return -1
		}
		return 1 // also if equal: the numbers must differ
	}) {
		return func(e *history.Event) int64 { return int64(e.Index) }
	}
	at := make(map[*history.Event]int64, len(h.Events))
	for i := range h.Events {
		at[&h.Events[i]] = int64(i)
	}
	return func(e *history.Event) int64 { return at[e] }
}

func (l *linear) op(p history.Pair, intern func(json.RawMessage) int32) (o op, err error) {
	e := p.Invoke
	known := false
	if o.kind, known = l.model.kindOf(e.F); !known {
		return o, fmt.Errorf("event %d has f %q, but model %s knows %s only", e.Index, e.F, l.model.name, l.model.verbs())
	}
	switch o.kind {
	case read:
		if p.Outcome() == history.OK {
			o.a = intern(p.Complete.Value)
		}
	case write:
		o.a = intern(e.Value)
	case cas:
		old, new, ok := history.SplitPair(e.Value)
		if !ok {
			return o, fmt.Errorf("event %d is a cas with the value %.60s, want [old, new]", e.Index, e.Value)
		}
		o.a, o.b = intern(old), intern(new)
	}
	return o, nil
}

// plain writes numbers with a point or an exponent in one way: 1e2 is 100.0.
func plain(x any) any {
	switch x := x.(type) {
	case json.Number:
		if !strings.ContainsAny(string(x), ".eE") {
			return x
		}
		f, err := strconv.ParseFloat(string(x), 64)
		if err != nil {
			return x
		}
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return json.Number(strconv.FormatInt(int64(f), 10) + ".0")
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = plain(x[k])
		}
	}
	return x
}

// canonical is the same text for equal JSON values.
func canonical(v json.RawMessage) string {
	if len(v) == 0 {
		return "null"
	}
	if !slices.ContainsFunc(v, func(c byte) bool { return c != '-' && (c < '0' || c > '9') }) {
		return string(v)
	}
	dec := json.NewDecoder(strings.NewReader(string(v)))
	dec.UseNumber()
	var x any
	if dec.Decode(&x) != nil {
		return string(v)
	}
	b, err := json.Marshal(plain(x))
	if err != nil {
		return string(v)
	}
	return string(b)
}
