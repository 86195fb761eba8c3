package ids

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/capstan-dev/capstan/checker"
	check "github.com/capstan-dev/capstan/checker/ids"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// New makes the workload of one run.
func New() workloads.Workload { return workload{} }

type workload struct{}

func (workload) Name() string { return "ids" }

func (workload) Doc() string { return "ask for identifiers; nobody may get one that was given before" }

var generate = gen.Op{F: "generate", Value: json.RawMessage("null")}

// Source only generates.
func (workload) Source(workloads.Params) gen.Source { return gen.Repeat(generate) }

// Final generates once more through every worker: who forgot what was given
// gives it again.
func (workload) Final(workloads.Params) gen.Source {
	return gen.Synchronize(gen.EachWorker(func(int) gen.Op { return generate }))
}

// Bind wants a Store.
func (workload) Bind(conn io.Closer) (workloads.Client, error) {
	s, ok := conn.(Store)
	if !ok {
		return nil, fmt.Errorf("the connection has no unique identifiers")
	}
	return client{s}, nil
}

func (workload) Checks() ([]checker.Checker, error) { return []checker.Checker{check.New()}, nil }

type client struct{ store Store }

func (c client) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	if op.F != "generate" {
		return nil, workloads.NoSuch("ids", op)
	}
	id, err := c.store.NextID(ctx)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("encode identifier: %w", err)
	}
	return b, nil
}
