package etcd

import (
	"context"
	"fmt"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/lock"
)

var _ lock.Store = (*Conn)(nil)

func lockKey(key int) string    { return "lock/" + strconv.Itoa(key) }
func guardedKey(key int) string { return "guarded/" + strconv.Itoa(key) }
func tokenKey(key int) string   { return "token/" + strconv.Itoa(key) }

// tokenText has tokens ordered as the numbers are, for comparisons.
func tokenText(token int64) string { return fmt.Sprintf("%020d", token) }

// Acquire implements lock.Store by etcd's own recipe: a key that is created only
// if there is none, attached to a lease. The key's creation revision is the
// token. Leases are in whole seconds, and the server makes short ones longer.
func (c *Conn) Acquire(ctx context.Context, key int, owner string, lease time.Duration) (int64, bool, error) {
	if c.Closed() {
		return 0, false, targets.ErrClosed
	}
	delete(c.held, key)
	seconds := int64((lease + time.Second - 1) / time.Second)
	grant, err := c.s.leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: seconds})
	if err != nil {
		return 0, false, classify(fmt.Errorf("grant lease: %w", err))
	}
	k := lockKey(key)
	resp, err := c.when(ctx,
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(k), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(k, owner, clientv3.WithLease(clientv3.LeaseID(grant.ID)))}, nil)
	if err != nil {
		return 0, false, err
	}
	if !resp.Succeeded {
		c.drop(ctx, grant.ID)
		return 0, false, nil
	}
	if !c.fenced {
		return 0, true, nil
	}
	c.held[key] = resp.Header.Revision
	return resp.Header.Revision, true, nil
}

// drop revokes a lease that nothing is attached to. If that does not succeed it
// ends by itself.
func (c *Conn) drop(ctx context.Context, lease int64) {
	_, _ = c.s.leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease})
}

// Release implements lock.Store.
func (c *Conn) Release(ctx context.Context, key int, owner string) error {
	k := lockKey(key)
	resp, err := c.when(ctx,
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value(k), "=", owner)},
		[]clientv3.Op{clientv3.OpDelete(k, clientv3.WithPrevKV())}, nil)
	if err != nil {
		return err
	}
	delete(c.held, key)
	if resp.Succeeded {
		c.drop(ctx, resp.Responses[0].GetResponseDeleteRange().PrevKvs[0].Lease)
	}
	return nil
}

// Load implements lock.Store. A holder shows its token to the store already when
// it reads: what an earlier holder writes after that is refused, or it would be
// overwritten by what follows from this read.
func (c *Conn) Load(ctx context.Context, key int) ([]int, error) {
	get := c.get(guardedKey(key))
	if token := c.held[key]; token != 0 {
		resp, ok, err := c.present(ctx, key, token, get)
		if err == nil && !ok {
			delete(c.held, key)
			err = targets.NotApplied(fmt.Errorf("the store has seen a greater token than %d", token))
		}
		if err != nil {
			return nil, err
		}
		return loaded((*clientv3.GetResponse)(resp.Responses[1].GetResponseRange()))
	}
	resp, err := c.do(ctx, get)
	if err != nil {
		return nil, err
	}
	return loaded(resp.Get())
}

func loaded(resp *clientv3.GetResponse) ([]int, error) {
	if len(resp.Kvs) == 0 {
		return []int{}, nil
	}
	return parseList(string(resp.Kvs[0].Value))
}

// Save implements lock.Store.
func (c *Conn) Save(ctx context.Context, key int, list []int, token int64) (bool, error) {
	put := clientv3.OpPut(guardedKey(key), formatList(list))
	if token == 0 {
		_, err := c.do(ctx, put)
		return err == nil, err
	}
	_, ok, err := c.present(ctx, key, token, put)
	if err == nil && !ok {
		delete(c.held, key)
	}
	return ok, err
}

// present shows a token to the store, which remembers the greatest one, and does
// something in the same step if it is not smaller than that.
func (c *Conn) present(ctx context.Context, key int, token int64, do clientv3.Op) (*clientv3.TxnResponse, bool, error) {
	k := tokenKey(key)
	// A key that is absent is not greater than anything.
	resp, err := c.when(ctx,
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value(k), ">", tokenText(token))}, nil,
		[]clientv3.Op{clientv3.OpPut(k, tokenText(token)), do})
	if err != nil {
		return nil, false, err
	}
	return resp, !resp.Succeeded, nil
}
