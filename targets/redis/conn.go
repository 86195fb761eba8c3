package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

// Conn is one process' connection to one node. It is not dialled anew when it
// breaks; Closed tells, and whoever opened it opens another.
type Conn struct {
	s    *session
	node string
	// primary says that a replica's answers do not count.
	primary bool
	// wait is how many replicas writes wait for.
	wait   int
	fenced bool
	held   map[int]int64 // the tokens of this process' locks
}

var (
	_ register.Store  = (*Conn)(nil)
	_ set.Store       = (*Conn)(nil)
	_ counter.Store   = (*Conn)(nil)
	_ ids.Store       = (*Conn)(nil)
	_ bank.Store      = (*Conn)(nil)
	_ monotonic.Store = (*Conn)(nil)
)

// Open implements targets.System.
func (s *system) Open(ctx context.Context, node string, _ int) (io.Closer, error) {
	ses, err := s.dial(ctx, node)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	if s.Spec.Topology == redlock {
		return s.newRedlock(ses), nil
	}
	c := &Conn{
		s: ses, node: node, primary: s.Spec.Levels[levelRead] != readReplica,
		fenced: s.Spec.Levels[levelFencing] == fencingToken, held: map[int]int64{},
	}
	c.wait, _ = strconv.Atoi(s.Spec.Levels[levelWait]) // where there is no such level, nobody waits
	if s.Spec.Topology == sharded && !c.primary {
		if _, err := ses.do(ctx, command{"READONLY"}); err != nil {
			return nil, targets.NotApplied(errors.Join(err, ses.close()))
		}
	}
	return c, nil
}

// Close ends the connection without waiting for calls in flight.
func (c *Conn) Close() error { return c.s.close() }

// Closed is true once the connection is of no use any more.
func (c *Conn) Closed() bool { return c.s.closed() }

// tag has all keys hashed into one slot of Redis Cluster, which is n1's at
// first. Other topologies have no slots.
const tag = "{capstan}:"

func key(kind string, n int) string { return tag + kind + ":" + strconv.Itoa(n) }

// waitFor is how long a write waits for replicas.
const waitFor = 500 * time.Millisecond

// write makes one command that writes, and waits for as many replicas as the
// level says.
func (c *Conn) write(ctx context.Context, w command) (any, error) {
	answer, short, err := c.attempt(ctx, w)
	return answer, errors.Join(err, short)
}

// attempt is write for commands that may write nothing, as their answer tells.
// An error short says that too few replicas came in time, which leaves it open:
// what was written is there, but it was not confirmed.
func (c *Conn) attempt(ctx context.Context, w command) (answer any, short, err error) {
	replies, err := c.s.run(ctx, c.waiting([]command{w})...)
	if err != nil {
		return nil, nil, err
	}
	if err := replies[0].err; err != nil {
		return nil, nil, err
	}
	return replies[0].value, c.waited(replies[1:]), nil
}

func (c *Conn) waiting(commands []command) []command {
	if c.wait == 0 {
		return commands
	}
	return append(commands, command{"WAIT", c.wait, waitFor.Milliseconds()})
}

// waited judges the answer to WAIT, if it was asked.
func (c *Conn) waited(replies []reply) error {
	if len(replies) == 0 {
		return nil
	}
	n, err := redis.Int(replies[0].value, replies[0].err)
	if err != nil {
		// Whatever is refused here, it was not the write.
		return fmt.Errorf("wait for replicas: %s", err)
	}
	if n < c.wait {
		return fmt.Errorf("%d replicas confirmed the write in time, want %d", n, c.wait)
	}
	return nil
}

// atomically runs commands as one transaction. With level read=primary the node
// says in the same transaction whether it is one.
func (c *Conn) atomically(ctx context.Context, commands []command, writes bool) ([]any, error) {
	all := append([]command{{"MULTI"}, {"ROLE"}}, commands...)
	all = append(all, command{"EXEC"})
	exec := len(all) - 1
	if writes {
		all = c.waiting(all)
	}
	replies, err := c.s.run(ctx, all...)
	if err != nil {
		return nil, err
	}
	if err := replies[exec].err; err != nil {
		return nil, refusedBy(replies[:exec], err)
	}
	results, err := redis.Values(replies[exec].value, nil)
	if err != nil || len(results) != len(commands)+1 {
		return nil, fmt.Errorf("EXEC: %d results of %d commands: %T", len(results), len(commands)+1, replies[exec].value)
	}
	for _, r := range results {
		if err, ok := r.(redis.Error); ok {
			return nil, fmt.Errorf("EXEC: %w", error(err))
		}
	}
	if !writes && c.primary && role(results[0]) != "master" {
		return nil, targets.NotApplied(fmt.Errorf("%s is a replica; level read=primary", c.node))
	}
	return results[1:], c.waited(replies[exec+1:])
}

// refusedBy is why a transaction was not executed: the first of its commands
// that was refused says more than EXEC.
func refusedBy(queued []reply, err error) error {
	for _, r := range queued {
		if r.err != nil {
			return fmt.Errorf("%w (%s)", err, r.err)
		}
	}
	return err
}

// role is what ROLE says that the node is: master, slave, or sentinel.
func role(answer any) string {
	all, err := redis.Values(answer, nil)
	if err != nil || len(all) == 0 {
		return ""
	}
	name, _ := redis.String(all[0], nil) // "" is none of them
	return name
}

// read makes one command that reads.
func (c *Conn) read(ctx context.Context, r command) (any, error) {
	if !c.primary {
		return c.s.do(ctx, r)
	}
	results, err := c.atomically(ctx, []command{r}, false)
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

// number reads an answer that is a number, or nothing.
func number(answer any) (v int, ok bool, err error) {
	v, err = redis.Int(answer, nil)
	switch {
	case errors.Is(err, redis.ErrNil):
		return 0, false, nil
	case err != nil:
		return 0, false, targets.NotApplied(fmt.Errorf("read value: %w", err))
	}
	return v, true, nil
}

// Read implements register.Store.
func (c *Conn) Read(ctx context.Context, k int) (v int, ok bool, err error) {
	answer, err := c.read(ctx, command{"GET", key("register", k)})
	if err != nil {
		return 0, false, err
	}
	return number(answer)
}

// Write implements register.Store.
func (c *Conn) Write(ctx context.Context, k, v int) error {
	_, err := c.write(ctx, command{"SET", key("register", k), v})
	return err
}

// CAS implements register.Store.
func (c *Conn) CAS(ctx context.Context, k, old, new int) (register.Swap, error) {
	answer, short, err := c.attempt(ctx, swap.on(key("register", k))(old, new))
	if err != nil {
		return register.Swap{}, err
	}
	if found, ok := answer.([]any); ok && len(found) == 2 {
		v, ok, err := number(found[1])
		return register.Found(v, ok), err
	}
	return register.Swap{Done: short == nil}, short
}

// Add implements set.Store.
func (c *Conn) Add(ctx context.Context, element int) error {
	_, err := c.write(ctx, command{"SADD", tag + "set", element})
	return err
}

// ReadAll implements set.Store.
func (c *Conn) ReadAll(ctx context.Context) ([]int, error) {
	return ints(c.read(ctx, command{"SMEMBERS", tag + "set"}))
}

// ints reads an answer that is a list of numbers, with 0 for nothing.
func ints(answer any, err error) ([]int, error) {
	if err != nil {
		return nil, err
	}
	list, err := redis.Ints(answer, nil)
	if err != nil {
		return nil, targets.NotApplied(fmt.Errorf("read numbers: %w", err))
	}
	return list, nil
}

// AddTo implements counter.Store.
func (c *Conn) AddTo(ctx context.Context, delta int) error {
	_, err := c.write(ctx, command{"INCRBY", tag + "counter", delta})
	return err
}

// Get implements counter.Store.
func (c *Conn) Get(ctx context.Context) (int, error) {
	answer, err := c.read(ctx, command{"GET", tag + "counter"})
	if err != nil {
		return 0, err
	}
	v, _, err := number(answer)
	return v, err
}

// NextID implements ids.Store.
func (c *Conn) NextID(ctx context.Context) (string, error) {
	id, err := redis.Int64(c.write(ctx, command{"INCR", tag + "id"}))
	return strconv.FormatInt(id, 10), err
}

// OpenAccounts implements bank.Store.
func (c *Conn) OpenAccounts(ctx context.Context, n, balance int) error {
	_, err := c.write(ctx, openAccounts.on(tag+"accounts")(n, balance))
	return err
}

// Transfer implements bank.Store.
func (c *Conn) Transfer(ctx context.Context, from, to, amount int) (bool, error) {
	answer, short, err := c.attempt(ctx, transfer.on(tag+"accounts")(from, to, amount))
	if err != nil || answer == int64(0) {
		return false, err
	}
	return short == nil, short
}

// Balances implements bank.Store.
func (c *Conn) Balances(ctx context.Context) ([]int, error) {
	return ints(c.read(ctx, command{"LRANGE", tag + "accounts", 0, -1}))
}

// Increment implements monotonic.Store: the server reads the number and writes
// it back.
func (c *Conn) Increment(ctx context.Context, k int) (int, error) {
	return redis.Int(c.write(ctx, command{"INCR", key("monotonic", k)}))
}

// ReadMany implements monotonic.Store.
func (c *Conn) ReadMany(ctx context.Context, keys []int) ([]int, error) {
	r := command{"MGET"}
	for _, k := range keys {
		r = append(r, key("monotonic", k))
	}
	return ints(c.read(ctx, r))
}
