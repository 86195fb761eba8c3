package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/lock"
)

var _ lock.Store = (*Conn)(nil)

func lockKey(n int) string { return key("lock", n) }

// Acquire implements lock.Store by SET NX PX.
func (c *Conn) Acquire(ctx context.Context, k int, owner string, lease time.Duration) (int64, bool, error) {
	delete(c.held, k)
	set := acquiring(k, owner, lease)
	if c.fenced {
		set = acquire.on(lockKey(k), tag+"tokens")(owner, lease.Milliseconds())
	}
	answer, short, err := c.attempt(ctx, set)
	if err != nil || answer == nil {
		return 0, false, err
	}
	if short != nil || !c.fenced {
		return 0, short == nil, short
	}
	token, err := redis.Int64(answer, nil)
	c.held[k] = token
	return token, err == nil, err
}

func acquiring(k int, owner string, lease time.Duration) command {
	return command{"SET", lockKey(k), owner, "NX", "PX", lease.Milliseconds()}
}

// Release implements lock.Store.
func (c *Conn) Release(ctx context.Context, k int, owner string) error {
	delete(c.held, k)
	_, err := c.write(ctx, release.on(lockKey(k))(owner))
	return err
}

// Load implements lock.Store.
func (c *Conn) Load(ctx context.Context, k int) ([]int, error) {
	token := c.held[k]
	if token == 0 {
		return list(c.read(ctx, command{"GET", guardedKey(k)}))
	}
	answer, short, err := c.attempt(ctx, presented(k, token))
	if err == nil && answer == nil {
		delete(c.held, k)
		return nil, errFenced
	}
	return list(answer, errors.Join(err, short))
}

// Save implements lock.Store.
func (c *Conn) Save(ctx context.Context, k int, list []int, token int64) (bool, error) {
	answer, short, err := c.attempt(ctx, saving(k, list, token))
	if err != nil {
		return false, err
	}
	if answer == nil {
		delete(c.held, k)
		return false, nil
	}
	return short == nil, short
}

// What locks protect, wherever it is. A holder with a token shows it already
// when it reads: what an earlier holder writes after that is refused, or it
// would be overwritten by what follows from this read.

func guardedKey(n int) string { return key("guarded", n) }

func presented(k int, token int64, more ...any) command {
	return append(present.on(guardedKey(k), key("token", k))(token), more...)
}

func saving(k int, list []int, token int64) command {
	text := workloads.AppendInts(nil, list)
	if token == 0 {
		return command{"SET", guardedKey(k), text}
	}
	return presented(k, token, text)
}

var errFenced = targets.NotApplied(errors.New("the store has seen a greater token"))

// list reads a list, as JSON; nothing is an empty one.
func list(answer any, err error) ([]int, error) {
	if err != nil {
		return nil, err
	}
	list := []int{}
	text, err := redis.Bytes(answer, nil)
	if errors.Is(err, redis.ErrNil) || len(text) == 0 && err == nil {
		return list, nil
	}
	if err := errors.Join(err, json.Unmarshal(text, &list)); err != nil {
		return nil, targets.NotApplied(fmt.Errorf("read list: %w", err))
	}
	return list, nil
}
