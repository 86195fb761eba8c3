package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

// Conn is one process' connection to one member. It is not dialled anew when it
// breaks; Closed tells, and whoever opened it opens another.
type Conn struct {
	s *session
	// reads are the options of every read.
	reads  []clientv3.OpOption
	fenced bool
	held   map[int]int64 // the tokens of this process' locks
}

var (
	_ register.Store = (*Conn)(nil)
	_ set.Store      = (*Conn)(nil)
	_ counter.Store  = (*Conn)(nil)
	_ ids.Store      = (*Conn)(nil)
)

// Open implements targets.System.
func (s *system) Open(ctx context.Context, node string, _ int) (io.Closer, error) {
	ses, err := s.dial(ctx, node)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	c := &Conn{s: ses, fenced: s.Spec.Levels[levelFencing] == fencingToken, held: map[int]int64{}}
	if s.Spec.Levels[levelRead] == readSerializable {
		c.reads = []clientv3.OpOption{clientv3.WithSerializable()}
	}
	return c, nil
}

// Close ends the connection without waiting for calls in flight.
func (c *Conn) Close() error { return c.s.Close() }

// Closed is true once the connection is of no use any more.
func (c *Conn) Closed() bool { return c.s.Closed() }

// do makes one request.
func (c *Conn) do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	if c.Closed() {
		return clientv3.OpResponse{}, targets.ErrClosed
	}
	resp, err := c.s.kv.Do(ctx, op)
	return resp, classify(err)
}

// get is a read at the connection's level.
func (c *Conn) get(key string, more ...clientv3.OpOption) clientv3.Op {
	return clientv3.OpGet(key, append(more, c.reads...)...)
}

func (c *Conn) put(ctx context.Context, key, value string) error {
	_, err := c.do(ctx, clientv3.OpPut(key, value))
	return err
}

// when is a transaction of one request.
func (c *Conn) when(ctx context.Context, cmps []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	resp, err := c.do(ctx, clientv3.OpTxn(cmps, then, otherwise))
	return resp.Txn(), err
}

// number reads a value; there is none for a key that is absent.
func number(kvs []*mvccpb.KeyValue) (v int, ok bool, err error) {
	if len(kvs) == 0 {
		return 0, false, nil
	}
	v, err = strconv.Atoi(string(kvs[0].Value))
	if err != nil {
		return 0, false, targets.NotApplied(fmt.Errorf("read value: %w", err))
	}
	return v, true, nil
}

func registerKey(key int) string { return "register/" + strconv.Itoa(key) }

// Read implements register.Store.
func (c *Conn) Read(ctx context.Context, key int) (v int, ok bool, err error) {
	resp, err := c.do(ctx, c.get(registerKey(key)))
	if err != nil {
		return 0, false, err
	}
	return number(resp.Get().Kvs)
}

// Write implements register.Store.
func (c *Conn) Write(ctx context.Context, key, v int) error {
	return c.put(ctx, registerKey(key), strconv.Itoa(v))
}

// CAS implements register.Store. What a failed one found it reads in the same
// step.
func (c *Conn) CAS(ctx context.Context, key, old, new int) (register.Swap, error) {
	k := registerKey(key)
	resp, err := c.when(ctx,
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value(k), "=", strconv.Itoa(old))},
		[]clientv3.Op{clientv3.OpPut(k, strconv.Itoa(new))},
		[]clientv3.Op{clientv3.OpGet(k)})
	if err != nil || resp.Succeeded {
		return register.Swap{Done: err == nil}, err
	}
	v, ok, err := number(resp.Responses[0].GetResponseRange().Kvs)
	return register.Found(v, ok), err
}

const setPrefix = "set/"

// Add implements set.Store: every element is a key.
func (c *Conn) Add(ctx context.Context, element int) error {
	return c.put(ctx, setPrefix+strconv.Itoa(element), "")
}

// ReadAll implements set.Store.
func (c *Conn) ReadAll(ctx context.Context) ([]int, error) {
	resp, err := c.do(ctx, c.get(setPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly()))
	if err != nil {
		return nil, err
	}
	elements := []int{}
	for _, kv := range resp.Get().Kvs {
		e, err := strconv.Atoi(strings.TrimPrefix(string(kv.Key), setPrefix))
		if err != nil {
			return nil, targets.NotApplied(fmt.Errorf("read element: %w", err))
		}
		elements = append(elements, e)
	}
	return elements, nil
}

const counterKey = "counter"

// AddTo implements counter.Store. etcd has no increment. Its documentation's way
// is to read, and to write if nothing has changed; what lost the race is tried
// again, as it certainly had no effect.
func (c *Conn) AddTo(ctx context.Context, delta int) error {
	for {
		_, err := c.increase(ctx, counterKey, delta)
		if !errors.Is(err, errConflict) || ctx.Err() != nil {
			return err
		}
	}
}

// Get implements counter.Store.
func (c *Conn) Get(ctx context.Context) (int, error) {
	resp, err := c.do(ctx, c.get(counterKey))
	if err != nil {
		return 0, err
	}
	v, _, err := number(resp.Get().Kvs)
	return v, err
}

// NextID implements ids.Store: each write makes a revision of its own.
func (c *Conn) NextID(ctx context.Context) (string, error) {
	resp, err := c.do(ctx, clientv3.OpPut("id", ""))
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(resp.Put().Header.Revision, 10), nil
}
