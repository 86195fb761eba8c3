package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/reports"
	"github.com/spf13/pflag"
)

// isolationModels lists the kinds of transactions whose isolation is checked;
// --consistency says which model of isolation it is to be.
func isolationModels() []model {
	return []model{
		{txn.ListAppend, "transactions of [:append k v] and [:r k [v ...]]", func(o checkOptions) (checker.Checker, error) {
			return isolationOf(txn.ListAppend, o)
		}},
		{txn.RWRegister, "transactions of [:w k v] and [:r k v]", func(o checkOptions) (checker.Checker, error) {
			return isolationOf(txn.RWRegister, o)
		}},
		{txn.SetAdd, "transactions of [:add k v] and [:r k #{v ...}]", func(o checkOptions) (checker.Checker, error) {
			return isolationOf(txn.SetAdd, o)
		}},
		{txn.ClosedPredicate, "an init {k v}, and transactions of [:insert k v], [:delete k], [:w k v], [:r k v] and [:rp predicate {k v}]", func(o checkOptions) (checker.Checker, error) {
			return txn.NewClosedPredicate(o.consistency)
		}},
	}
}

func isIsolation(name string) bool {
	return slices.ContainsFunc(isolationModels(), func(m model) bool { return m.name == name })
}

func isolationOf(name string, o checkOptions) (*txn.Isolation, error) {
	switch name {
	case txn.ListAppend:
		return txn.NewListAppend(o.consistency)
	case txn.SetAdd:
		return txn.NewSetAdd(o.consistency)
	}
	r := wr.Options{WritesFollowReads: o.registers.writesFollowReads, Sequential: o.registers.sequential, Linearizable: o.registers.linearizable}
	if o.registers.orders != "" {
		b, err := os.ReadFile(o.registers.orders)
		if err != nil {
			return nil, fmt.Errorf("read orders of versions: %w", err)
		}
		if r.Orders, err = versionOrders(b); err != nil {
			return nil, fmt.Errorf("read orders of versions from %s: %w", o.registers.orders, err)
		}
	}
	return txn.NewRWRegister(o.consistency, r)
}

// versionOrders reads an object that has, of each key, its values in order.
// Keys are JSON: "5" and the number 5 are written "\"5\"" and "5".
func versionOrders(b []byte) (map[string][]string, error) {
	var raw map[string][]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf(`want an object like {"5":[1,2,3]}: %w`, err)
	}
	orders := map[string][]string{}
	for key, values := range raw {
		if !json.Valid([]byte(key)) {
			quoted, err := json.Marshal(key)
			if err != nil {
				return nil, err
			}
			key = string(quoted)
		}
		for _, v := range values {
			orders[key] = append(orders[key], string(v))
		}
	}
	return orders, nil
}

// registerOptions say where the order of the versions of registers comes from.
type registerOptions struct {
	writesFollowReads, sequential, linearizable bool
	orders                                      string
	shrink                                      bool
}

func (r *registerOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&r.writesFollowReads, "wfr-keys", false, "rw-register: within a transaction, what is written to a key follows what was read of it")
	f.BoolVar(&r.sequential, "sequential-keys", false, "rw-register: each key is sequentially consistent")
	f.BoolVar(&r.linearizable, "linearizable-keys", false, "rw-register: each key is linearizable")
	f.BoolVar(&r.shrink, "shrink", false, "list-append, rw-register and set-add: also find the fewest transactions that show the first anomaly by themselves")
	f.StringVar(&r.orders, "version-orders", "", "rw-register: `FILE` with the order of the values of each key, as JSON, e.g. {\"5\":[1,2,3]}")
}

// small files, by their bytes, are judged in the time that collections of their
// garbage would take.
const small = 8 << 20

// checkIsolation judges a file of transactions, which may be large: it is read
// into numbers at once.
func (a *app) checkIsolation(path string, o checkOptions) (reports.Results, error) {
	res := reports.Results{Version: reports.ResultsVersion, File: path, Verdict: checker.Unknown, Checks: []checker.Result{}}
	c, err := isolationOf(o.model, o)
	if err != nil {
		res.Reason = err.Error()
		return res, err
	}
	// The collector works harder near the bound rather than that it is passed.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(o.memory / 10 * 9))
	if info, err := os.Stat(path); err == nil && info.Size() < small {
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	open := log.Open
	if o.model == txn.SetAdd {
		open = log.OpenSets
	}
	l, readErr := open(path)
	if l == nil {
		res.Reason = readErr.Error()
		return res, readErr
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(a.stop, o.timeout)
	defer cancel()
	if o.registers.shrink {
		c = c.Shrinking()
	}
	judge := judged{c, l}
	results := []checker.Result{checker.Run(ctx, judge, nil)}
	if readErr != nil {
		results = append(results, checker.Result{Name: "complete", Verdict: checker.Unknown, Anomalies: []checker.Anomaly{},
			Reason: fmt.Sprintf("only the first %d events could be read: %v", l.Events, readErr)})
	}
	res = reports.Summarize(results, &history.History{})
	for i := range l.Txns {
		res.Operations.Total++
		switch l.Txns[i].Outcome {
		case log.OK:
			res.Operations.OK++
		case log.Fail:
			res.Operations.Fail++
		case log.Info:
			res.Operations.Info++
		}
	}
	res.File, res.Checked = path, time.Since(began)
	return res, readErr
}

// judged is a checker that has its history already.
type judged struct {
	*txn.Isolation
	log *log.Log
}

func (j judged) Check(ctx context.Context, _ *history.History) (checker.Result, error) {
	return j.Judge(ctx, j.log)
}

// isolationResults are results with what was found about isolation at the top.
type isolationResults struct {
	reports.Results
	Anomalies []checker.Anomaly `json:"anomalies"`
	txn.Models
}

// withIsolation lifts what a check says about isolation to the top.
func withIsolation(res reports.Results) (any, error) {
	at := slices.IndexFunc(res.Checks, func(c checker.Result) bool { return isIsolation(c.Name) && len(c.Data) > 0 })
	if at < 0 {
		return res, nil
	}
	var f txn.Figures
	if err := json.Unmarshal(res.Checks[at].Data, &f); err != nil {
		return nil, errors.Join(errors.New("decode figures"), err)
	}
	return isolationResults{res, res.Checks[at].Anomalies, f.Models}, nil
}
