// Package workloads defines what a workload is: a generator of operations, the
// small client interface that it needs, and the checks its histories get. Each
// workload lives in a folder of its own and owns the verbs that targets
// implement.
package workloads

import (
	"context"
	"encoding/json"
	"io"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// Params are the values of a plan that shape a workload.
type Params struct {
	// Seed of the operations.
	Seed uint64
	// Concurrency is the number of workers.
	Concurrency int
	// Nodes is the number of nodes; worker w is connected to node w mod Nodes.
	Nodes int
	// OpsPerKey is how many operations a key gets before the clients move on
	// to a fresh one, where a workload has keys; 0 means its own default.
	OpsPerKey int
}

// Workload generates operations, speaks them to a target's connection, and
// names the checks for what came of it.
type Workload interface {
	Name() string
	// Doc is one line for `capstan list`.
	Doc() string
	// Source generates the main phase. It is endless; the harness adds the
	// rate and the time limit.
	Source(Params) gen.Source
	// Final generates the reads after the last heal; it ends by itself. nil
	// if there are none.
	Final(Params) gen.Source
	// Bind gives a client that speaks the workload's verbs over conn, or an
	// error that says which interface the connection lacks. It does not use
	// the connection: a typed nil answers whether a target can do a workload.
	Bind(conn io.Closer) (Client, error)
	Checks() ([]checker.Checker, error)
}

// Transactional is for workloads whose operations are transactions: a system
// promises them isolation, and not linearizability.
type Transactional interface{ Transactional() }

// Preparer is for workloads that need something before their first operation,
// like accounts with money.
type Preparer interface {
	// Prepare makes it over a connection that Bind takes. It may be called
	// again after any error, and when it was made before.
	Prepare(ctx context.Context, conn io.Closer) error
}

// Client invokes one operation over one connection.
type Client interface {
	// Invoke makes one call and returns the completion's value. An error that
	// proves that it had no effect wraps history.ErrNotApplied; after any
	// other error the call may still take effect. With a nil value the
	// completion repeats the invocation's.
	Invoke(context.Context, gen.Op) (json.RawMessage, error)
}
