package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/bank"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

const (
	accounts, balance = 8, 100
	// mostAmount is the largest transfer: accounts run dry now and then.
	mostAmount = 50
)

// New makes the workload of one run.
func New() workloads.Workload { return workload{} }

type workload struct{}

func (workload) Name() string { return "bank" }

func (workload) Doc() string {
	return "transfer money between accounts and read all of them, in transactions; the total stays, and nobody is in debt"
}

// Transactional implements workloads.Transactional.
func (workload) Transactional() {}

// transfer is the value of a transfer.
type transfer struct {
	From   int `json:"from"`
	To     int `json:"to"`
	Amount int `json:"amount"`
}

var read = gen.Op{F: "read", Value: json.RawMessage("null")}

// Source reads and transfers, half and half.
func (workload) Source(p workloads.Params) gen.Source {
	rng := rand.New(rand.NewPCG(p.Seed, 0))
	return gen.Func(func() gen.Op {
		if rng.IntN(2) == 0 {
			return read
		}
		from := rng.IntN(accounts)
		to := (from + 1 + rng.IntN(accounts-1)) % accounts
		return gen.Op{F: "transfer", Value: fmt.Appendf(nil, `{"from":%d,"to":%d,"amount":%d}`, from, to, 1+rng.IntN(mostAmount))}
	})
}

// Final reads through every worker.
func (workload) Final(workloads.Params) gen.Source {
	return gen.Synchronize(gen.EachWorker(func(int) gen.Op { return read }))
}

// Prepare opens the accounts.
func (workload) Prepare(ctx context.Context, conn io.Closer) error {
	s, err := store(conn)
	if err != nil {
		return err
	}
	return s.OpenAccounts(ctx, accounts, balance)
}

// Bind wants a Store.
func (workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, err := store(conn)
	return client{s}, err
}

func store(conn io.Closer) (Store, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no accounts and transfers")
	}
	return s, nil
}

func (workload) Checks() ([]checker.Checker, error) {
	total := int64(accounts * balance)
	o := check.Options{Total: &total}
	for i := range accounts {
		o.Accounts = append(o.Accounts, strconv.Itoa(i))
	}
	return []checker.Checker{check.New(o)}, nil
}

type client struct{ store Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	switch op.F {
	case "read":
		all, err := c.store.Balances(ctx)
		if err != nil {
			return nil, err
		}
		return workloads.AppendInts(nil, all), nil
	case "transfer":
		t, err := workloads.Arg[transfer](op.F, op.Value)
		if err != nil {
			return nil, err
		}
		done, err := c.store.Transfer(ctx, t.From, t.To, t.Amount)
		if err == nil && !done {
			return nil, fmt.Errorf("%w: account %d has less than %d", history.ErrUnmet, t.From, t.Amount)
		}
		return nil, err
	}
	return nil, workloads.NoSuch("bank", op)
}
