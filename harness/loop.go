package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// Loop is the scheduler: it asks a source for operations, gives them to its
// workers, and tells the source what happened. Each worker has one call in
// flight. After an unknown outcome the worker's process retires, and a new
// one, numbered Concurrency higher, takes its place on a new connection.
type Loop struct {
	Runtime cluster.Runtime
	// Nodes to connect to; worker w is on node w mod len(Nodes).
	Nodes       []string
	Concurrency int
	// OpTimeout ends a call as unknown, by its context. A client that does
	// not heed its context is abandoned a second later.
	OpTimeout time.Duration
	Open      func(ctx context.Context, node string, process int) (io.Closer, error)
	Bind      func(io.Closer) (workloads.Client, error)
	Journal   history.Recorder
	// Watch, if set, sees every event, from any task.
	Watch func(history.Event)

	base      time.Duration
	workers   []worker
	all, free []int
	processes []int
	inFlight  int

	invoked, infos atomic.Int64 // of clients, for triggers

	mu        sync.Mutex
	delivered []*call
	err       error
}

type worker struct {
	call   *call
	client *client
}

// client is an open connection and what speaks over it.
type client struct {
	conn io.Closer
	workloads.Client
}

// call is one operation on its way. Between the loop's hand-over and its
// delivery the task owns it; mu guards against the loop abandoning it.
type call struct {
	op      gen.Op
	worker  int
	process int
	node    string
	client  *client
	due     time.Duration // when the loop gives up on it
	meant   time.Duration // when it was to start, see gen.Step.Due

	mu        sync.Mutex
	began     time.Duration
	invoked   bool
	completed bool
	end       history.Event
}

// grace is how long a client may overrun its context before it is abandoned.
const grace = time.Second

// Start sets the clock of the history to zero. It comes before everything.
func (l *Loop) Start() {
	l.base = l.Runtime.Now()
	l.workers = make([]worker, l.Concurrency)
	for w := range l.Concurrency {
		l.all = append(l.all, w)
		l.free = append(l.free, w)
		l.processes = append(l.processes, w)
	}
}

// Now is the time since Start.
func (l *Loop) Now() time.Duration { return l.Runtime.Now() - l.base }

// Drive runs src until it is done and no call is in flight. When stop ends it
// asks for no more and waits for the calls in flight; when ctx ends these are
// cut short, too. The error is the journal's.
func (l *Loop) Drive(ctx, stop context.Context, src gen.Source) error {
	done := false
	for {
		l.collect(src)
		done = done || stop.Err() != nil || ctx.Err() != nil || l.failed() != nil
		if done && l.inFlight == 0 {
			return l.failed()
		}
		step, st := gen.Step{At: history.Forever}, gen.Wait
		if !done {
			step, st = src.Next(gen.View{Now: l.Now(), All: l.all, Free: l.free, Processes: l.processes})
		}
		switch st {
		case gen.Ready:
			l.dispatch(ctx, src, step)
		case gen.Done:
			done = true
		case gen.Wait:
			l.park(ctx, stop, step.At)
		}
	}
}

// park waits for an event, the time, or the moment to give up on a call.
func (l *Loop) park(ctx, stop context.Context, at time.Duration) {
	for _, w := range l.workers {
		if w.call != nil {
			at = min(at, w.call.due)
		}
	}
	if at != history.Forever {
		at += l.base
	}
	if stop.Err() != nil {
		stop = context.WithoutCancel(ctx)
	}
	l.Runtime.Wait(stop, at)
	for w := range l.workers {
		if c := l.workers[w].call; c != nil && l.Now() >= c.due {
			l.abandon(c)
		}
	}
}

// dispatch hands a step to its worker.
func (l *Loop) dispatch(ctx context.Context, src gen.Source, step gen.Step) {
	i := slices.Index(l.free, step.Worker)
	if i < 0 {
		panic(fmt.Sprintf("harness: source gave an operation to worker %d, which is not free", step.Worker))
	}
	l.free = slices.Delete(l.free, i, i+1)
	w := &l.workers[step.Worker]
	c := &call{
		op: step.Op, worker: step.Worker, process: l.processes[step.Worker],
		node: l.Nodes[step.Worker%len(l.Nodes)], client: w.client, meant: step.Due,
		due: l.Now() + 2*l.OpTimeout + grace,
	}
	w.call = c
	l.inFlight++
	e := c.event(l.Now(), history.Invoke)
	src.Observe(c.worker, e)
	l.Runtime.Go(func() { l.perform(ctx, c) })
}

// collect takes what the workers delivered.
func (l *Loop) collect(src gen.Source) {
	l.mu.Lock()
	delivered := l.delivered
	l.delivered = nil
	l.mu.Unlock()
	for _, c := range delivered {
		w := &l.workers[c.worker]
		if w.call != c {
			continue // abandoned, and has now come back
		}
		w.call, w.client = nil, c.client
		l.inFlight--
		if c.end.Kind == history.Info {
			l.processes[c.worker] += l.Concurrency
		}
		l.free = append(l.free, c.worker)
		src.Observe(c.worker, c.end)
	}
}

func (l *Loop) deliver(c *call) {
	l.mu.Lock()
	l.delivered = append(l.delivered, c)
	l.mu.Unlock()
	l.Runtime.Wake()
}

// perform is the worker's side of a call.
func (l *Loop) perform(ctx context.Context, c *call) {
	if c.client == nil {
		c.began = l.Now()
		cl, err := l.open(ctx, c)
		if err != nil {
			// Nothing was sent: the call certainly did not happen.
			l.begin(c, c.began)
			l.complete(c, history.Fail, c.op.Value, err)
			// A node that refuses connections would otherwise be asked
			// thousands of times a second.
			_ = l.Runtime.Sleep(ctx, min(100*time.Millisecond, l.OpTimeout)) // woken early is fine
			l.deliver(c)
			return
		}
		c.client = cl
	}
	opCtx, cancel := l.Runtime.WithTimeout(ctx, l.OpTimeout)
	defer cancel()
	if !l.begin(c, l.Now()) {
		c.client.close(l.Runtime)
		return
	}
	value, err := c.client.invoke(opCtx, c.op)
	kind := outcome(err)
	if value == nil || kind == history.Info {
		value = c.op.Value
	}
	ours := l.complete(c, kind, value, err)
	if !ours || kind == history.Info || c.client.broken() {
		c.client.close(l.Runtime)
		c.client = nil
	}
	l.deliver(c)
}

// open connects a worker. A panic of the driver is an error like any other.
func (l *Loop) open(ctx context.Context, c *call) (cl *client, err error) {
	ctx, cancel := l.Runtime.WithTimeout(ctx, l.OpTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("open connection to %s: panic: %v", c.node, p)
		}
	}()
	conn, err := l.Open(ctx, c.node, c.process)
	if err != nil {
		return nil, fmt.Errorf("open connection to %s: %w", c.node, err)
	}
	bound, err := l.Bind(conn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bind workload: %w", err), conn.Close())
	}
	return &client{conn, bound}, nil
}

// outcome applies the rule: unknown unless proven.
func outcome(err error) history.Kind {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, history.ErrNotApplied):
		return history.Fail
	}
	return history.Info
}

func (c *client) invoke(ctx context.Context, op gen.Op) (v json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("client panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Invoke(ctx, op)
}

// broken asks connections that can tell whether they are of no use any more.
func (c *client) broken() bool {
	b, ok := c.conn.(interface{ Closed() bool })
	return ok && b.Closed()
}

// close ends the connection in a task of its own, as it may block.
func (c *client) close(rt cluster.Runtime) {
	rt.Go(func() { _ = c.conn.Close() }) // nothing to be done about an error
}

// begin records the invocation, unless the call was abandoned before.
func (l *Loop) begin(c *call, at time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.completed {
		return false
	}
	c.invoked = true
	e := c.event(at, history.Invoke)
	e.Due = c.meant
	l.record(e)
	return true
}

// complete records how the call ended, unless the loop already did.
func (l *Loop) complete(c *call, kind history.Kind, value json.RawMessage, err error) bool {
	at := l.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.completed {
		return false
	}
	c.completed = true
	c.end = c.event(at, kind)
	c.end.Value = value
	if err != nil {
		c.end.Err = err.Error()
	}
	l.record(c.end)
	return true
}

// abandon ends a call whose client does not heed its context as unknown.
func (l *Loop) abandon(c *call) {
	c.mu.Lock()
	if !c.completed {
		if !c.invoked {
			l.record(c.event(c.began, history.Invoke))
		}
		c.completed = true
		c.end = c.event(l.Now(), history.Info)
		c.end.Err = "the client did not return at its deadline"
		l.record(c.end)
	}
	c.mu.Unlock()
	// The task keeps the old call; the loop goes on with a copy that has no
	// connection.
	fresh := &call{op: c.op, worker: c.worker, process: c.process, node: c.node, completed: true, end: c.end}
	l.workers[c.worker].call = fresh
	l.deliver(fresh)
}

func (c *call) event(at time.Duration, kind history.Kind) history.Event {
	return history.Event{Time: at, Process: c.process, Kind: kind, F: c.op.F, Node: c.node, Value: c.op.Value}
}

func (l *Loop) record(e history.Event) {
	switch {
	case e.Process == history.Nemesis:
	case e.Kind == history.Invoke:
		l.invoked.Add(1)
	case e.Kind == history.Info:
		l.infos.Add(1)
	}
	if err := l.Journal.Append(e); err != nil {
		l.mu.Lock()
		l.err = errors.Join(l.err, fmt.Errorf("record event: %w", err))
		l.mu.Unlock()
		l.Runtime.Wake()
	}
	if l.Watch != nil {
		l.Watch(e)
	}
}

func (l *Loop) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Reconnect lets every worker that is free open a new connection for its next
// call. An idle one whose server died would not be noticed before.
func (l *Loop) Reconnect() {
	for i := range l.workers {
		if w := &l.workers[i]; w.call == nil && w.client != nil {
			w.client.close(l.Runtime)
			w.client = nil
		}
	}
}

// Close ends the connections of idle workers.
func (l *Loop) Close() {
	for i := range l.workers {
		if cl := l.workers[i].client; cl != nil {
			_ = cl.conn.Close() // the run is over, nobody waits for the answer
			l.workers[i].client = nil
		}
	}
}
