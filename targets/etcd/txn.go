package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/txn"
)

var (
	_ txn.Appender    = (*Conn)(nil)
	_ txn.Registers   = (*Conn)(nil)
	_ bank.Store      = (*Conn)(nil)
	_ monotonic.Store = (*Conn)(nil)
)

// view is what a transaction sees of its keys, and what it makes of them.
type view struct {
	found   map[string]*mvccpb.KeyValue
	written map[string]string
}

func (v *view) get(key string) (string, bool) {
	if w, ok := v.written[key]; ok {
		return w, true
	}
	kv := v.found[key]
	if kv == nil {
		return "", false
	}
	return string(kv.Value), true
}

func (v *view) put(key, value string) { v.written[key] = value }

// transact is an optimistic transaction: it reads its keys in one snapshot, lets
// body work on them, and writes in a second request, which compares that none of
// the keys has changed. If one has, that is errConflict, and nothing was written.
func (c *Conn) transact(ctx context.Context, keys []string, body func(*view) error) error {
	v, err := c.look(ctx, keys)
	if err != nil {
		return err
	}
	if err := body(v); err != nil || len(v.written) == 0 {
		return err
	}
	var same []clientv3.Cmp
	for _, k := range keys {
		same = append(same, clientv3.Compare(clientv3.ModRevision(k), "=", v.found[k].GetModRevision()))
	}
	var puts []clientv3.Op
	for _, k := range slices.Sorted(maps.Keys(v.written)) {
		puts = append(puts, clientv3.OpPut(k, v.written[k]))
	}
	resp, err := c.when(ctx, same, puts, nil)
	if err == nil && !resp.Succeeded {
		err = errConflict
	}
	return err
}

// look reads keys in one snapshot. That it failed proves that the transaction
// wrote nothing; it is unknown all the same, if it got no answer.
func (c *Conn) look(ctx context.Context, keys []string) (*view, error) {
	v := &view{found: map[string]*mvccpb.KeyValue{}, written: map[string]string{}}
	if len(keys) == 0 {
		return v, nil
	}
	var gets []clientv3.Op
	for _, k := range keys {
		gets = append(gets, c.get(k))
	}
	resp, err := c.when(ctx, nil, gets, nil)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if kvs := resp.Responses[i].GetResponseRange().Kvs; len(kvs) > 0 {
			v.found[k] = kvs[0]
		}
	}
	return v, nil
}

// increase adds to a number by reading and writing it back.
func (c *Conn) increase(ctx context.Context, key string, delta int) (sum int, err error) {
	err = c.transact(ctx, []string{key}, func(v *view) (err error) {
		if sum, err = v.number(key); err == nil {
			sum += delta
			v.put(key, strconv.Itoa(sum))
		}
		return err
	})
	return sum, err
}

// number is a key's value, 0 if it is absent.
func (v *view) number(key string) (int, error) {
	text, ok := v.get(key)
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, targets.NotApplied(fmt.Errorf("read %s: %w", key, err))
	}
	return n, nil
}

// list is a key's value as a list, empty if it is absent.
func (v *view) list(key string) ([]int, error) {
	text, _ := v.get(key)
	return parseList(text)
}

// parseList reads a list, as JSON; nothing is an empty one.
func parseList(text string) ([]int, error) {
	list := []int{}
	if text == "" {
		return list, nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, targets.NotApplied(fmt.Errorf("read list: %w", err))
	}
	return list, nil
}

func formatList(list []int) string { return string(workloads.AppendInts(nil, list)) }

// distinct are the keys of micro-operations, those that are only written left
// out if blind.
func distinct(prefix string, mops []txn.Mop, blind bool) []string {
	var keys []string
	for _, m := range mops {
		k := prefix + strconv.Itoa(m.Key)
		if (m.F == "r" || !blind) && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// AppendTxn implements txn.Appender.
func (c *Conn) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	err := c.transact(ctx, distinct("list/", mops, false), func(v *view) error {
		for i := range mops {
			m := &mops[i]
			key := "list/" + strconv.Itoa(m.Key)
			list, err := v.list(key)
			if err != nil {
				return err
			}
			if m.F == "r" {
				m.List = list
			} else {
				v.put(key, formatList(append(list, m.Value)))
			}
		}
		return nil
	})
	return mops, err
}

// WriteTxn implements txn.Registers.
func (c *Conn) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	err := c.transact(ctx, distinct("wr/", mops, true), func(v *view) (err error) {
		for i := range mops {
			m := &mops[i]
			key := "wr/" + strconv.Itoa(m.Key)
			if m.F == "w" {
				v.put(key, strconv.Itoa(m.Value))
				continue
			}
			_, m.Known = v.get(key)
			if m.Value, err = v.number(key); err != nil {
				return err
			}
		}
		return nil
	})
	return mops, err
}

// accountKey sorts accounts by their numbers.
func accountKey(n int) string { return fmt.Sprintf("account/%06d", n) }

// OpenAccounts implements bank.Store.
func (c *Conn) OpenAccounts(ctx context.Context, n, balance int) error {
	var puts []clientv3.Op
	for i := range n {
		puts = append(puts, clientv3.OpPut(accountKey(i), strconv.Itoa(balance)))
	}
	_, err := c.when(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(accountKey(0)), "=", 0)}, puts, nil)
	return err
}

// Transfer implements bank.Store.
func (c *Conn) Transfer(ctx context.Context, from, to, amount int) (done bool, err error) {
	a, b := accountKey(from), accountKey(to)
	if a == b {
		return false, targets.NotApplied(errors.New("transfer to the same account"))
	}
	err = c.transact(ctx, []string{a, b}, func(v *view) error {
		x, errX := v.number(a)
		y, errY := v.number(b)
		if err := errors.Join(errX, errY); err != nil || x < amount {
			return err
		}
		v.put(a, strconv.Itoa(x-amount))
		v.put(b, strconv.Itoa(y+amount))
		done = true
		return nil
	})
	return done && err == nil, err
}

// Balances implements bank.Store: one range is one snapshot.
func (c *Conn) Balances(ctx context.Context) ([]int, error) {
	resp, err := c.do(ctx, c.get("account/", clientv3.WithPrefix()))
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range resp.Get().Kvs {
		n, _, err := number(resp.Get().Kvs[i:])
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func growingKey(key int) string { return "monotonic/" + strconv.Itoa(key) }

// Increment implements monotonic.Store.
func (c *Conn) Increment(ctx context.Context, key int) (int, error) {
	return c.increase(ctx, growingKey(key), 1)
}

// ReadMany implements monotonic.Store.
func (c *Conn) ReadMany(ctx context.Context, keys []int) ([]int, error) {
	var names []string
	for _, k := range keys {
		names = append(names, growingKey(k))
	}
	v, err := c.look(ctx, names)
	if err != nil {
		return nil, err
	}
	values := make([]int, len(keys))
	for i, k := range names {
		if values[i], err = v.number(k); err != nil {
			return nil, err
		}
	}
	return values, nil
}
