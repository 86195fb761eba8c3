package txn

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// Check makes the check of a history.
type Check func() (checker.Checker, error)

// Append is the workload of lists. check judges its histories.
func Append(check Check) workloads.Workload {
	return &workload{
		name: "append", write: "append", check: check,
		doc: "transactions append unique elements to a few lists and read them; the order of the elements tells the order of the transactions",
		bind: func(conn io.Closer) (run, error) {
			s, ok := conn.(Appender)
			if !ok {
				return nil, fmt.Errorf("the connection has no transactions on lists")
			}
			return s.AppendTxn, nil
		},
	}
}

// WR is the workload of registers. check judges its histories.
func WR(check Check) workloads.Workload {
	return &workload{
		name: "wr", write: "w", check: check,
		doc: "transactions write unique values to a few registers and read them",
		bind: func(conn io.Closer) (run, error) {
			s, ok := conn.(Registers)
			if !ok {
				return nil, fmt.Errorf("the connection has no transactions on registers")
			}
			return s.WriteTxn, nil
		},
	}
}

type run func(context.Context, []Mop) ([]Mop, error)

type workload struct {
	name, doc, write string
	check            Check
	bind             func(io.Closer) (run, error)
	pool             *pool // of the main phase
}

func (w *workload) Name() string { return w.name }
func (w *workload) Doc() string  { return w.doc }

// Transactional implements workloads.Transactional.
func (w *workload) Transactional() {}

func (w *workload) Source(p workloads.Params) gen.Source {
	w.pool = newPool(p.Seed, w.write, p.OpsPerKey)
	return gen.Func(func() gen.Op { return op(w.pool.txn()) })
}

// finalMops is how many keys one final transaction reads.
const finalMops = 4

// Final reads all keys that were written through every worker.
func (w *workload) Final(workloads.Params) gen.Source {
	if w.pool == nil {
		return nil
	}
	var phases []gen.Source
	keys := w.pool.used()
	for from := 0; from < len(keys); from += finalMops {
		var mops []Mop
		for _, k := range keys[from:min(from+finalMops, len(keys))] {
			mops = append(mops, Mop{F: "r", Key: k})
		}
		phases = append(phases, gen.EachWorker(func(int) gen.Op { return op(mops) }))
	}
	return gen.Phases(phases...)
}

func op(mops []Mop) gen.Op { return gen.Op{F: "txn", Value: encode(mops, false)} }

// Bind wants an Appender, or Registers.
func (w *workload) Bind(conn io.Closer) (workloads.Client, error) {
	run, err := w.bind(conn)
	return client{w.name, run}, err
}

func (w *workload) Checks() ([]checker.Checker, error) {
	c, err := w.check()
	return []checker.Checker{c}, err
}

type client struct {
	name string
	run  run
}

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	if op.F != "txn" {
		return nil, workloads.NoSuch(c.name, op)
	}
	mops, err := decode(op.Value)
	if err != nil {
		return nil, err
	}
	done, err := c.run(ctx, mops)
	if err != nil {
		return nil, err
	}
	return encode(done, true), nil
}

// encode writes [["append", key, value], ["r", key, list or value], ...]. What
// reads returned is null before they are done.
func encode(mops []Mop, done bool) json.RawMessage {
	b := []byte{'['}
	for i, m := range mops {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[', '"')
		b = append(b, m.F...)
		b = append(b, '"', ',')
		b = strconv.AppendInt(b, int64(m.Key), 10)
		b = append(b, ',')
		switch {
		case m.F != "r" || done && m.Known:
			b = strconv.AppendInt(b, int64(m.Value), 10)
		case done && m.List != nil:
			b = workloads.AppendInts(b, m.List)
		default:
			b = append(b, "null"...)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

// decode reads an invocation.
func decode(value json.RawMessage) ([]Mop, error) {
	raw, err := workloads.Arg[[][3]json.RawMessage]("txn", value)
	if err != nil {
		return nil, err
	}
	mops := make([]Mop, len(raw))
	for i, r := range raw {
		m := &mops[i]
		bad := func(err error) error {
			return fmt.Errorf("%w: decode micro-operation %d: %w", history.ErrNotApplied, i, err)
		}
		if err := json.Unmarshal(r[0], &m.F); err != nil {
			return nil, bad(err)
		}
		if err := json.Unmarshal(r[1], &m.Key); err != nil {
			return nil, bad(err)
		}
		if m.F == "r" {
			continue
		}
		if err := json.Unmarshal(r[2], &m.Value); err != nil {
			return nil, bad(err)
		}
	}
	return mops, nil
}
