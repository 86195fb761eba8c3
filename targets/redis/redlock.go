package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/lock"
)

// Redlock is one process' client of the Redlock algorithm. Unlike all others it
// speaks to several nodes: to the lock servers, and to the store that has what
// the locks protect. The connection to the store is that of a Conn. Those to the
// lock servers are made again when a lock is next asked for, as the algorithm
// goes on without those that are down; no request is sent to a server twice.
type Redlock struct {
	store   *session
	servers []*lockServer
	fenced  bool
	held    map[int]int64 // the tokens of this process' locks
}

var _ lock.Store = (*Redlock)(nil)

// lockServer is a lock server, and the connection to it if there is one.
type lockServer struct {
	dial func(context.Context) (*session, error)
	s    *session
}

func (s *system) newRedlock(store *session) *Redlock {
	r := &Redlock{store: store, fenced: s.Spec.Levels[levelFencing] == fencingToken, held: map[int]int64{}}
	for _, n := range s.Cluster().Nodes {
		if n != storeNode {
			r.servers = append(r.servers, &lockServer{dial: func(ctx context.Context) (*session, error) { return s.dial(ctx, n) }})
		}
	}
	return r
}

// Close ends all connections.
func (r *Redlock) Close() error {
	errs := []error{r.store.close()}
	for _, l := range r.servers {
		if l.s != nil {
			errs = append(errs, l.s.close())
		}
	}
	return errors.Join(errs...)
}

// Closed is true once the connection to the store is of no use any more.
func (r *Redlock) Closed() bool { return r.store.closed() }

const (
	// patience with the lock servers is small against a lease, so that one that
	// is down does not use it up.
	patience = 200 * time.Millisecond
	// Clocks that run at different speeds are allowed for by a hundredth of the
	// lease, and expiry's own precision by 2 ms.
	driftShare, driftMin = 100, 2 * time.Millisecond
)

// each sends a command to all lock servers at once and says how many gave an
// answer, and how many this one.
func (r *Redlock) each(ctx context.Context, c command, want func(any) bool) (answered, wanted int) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, l := range r.servers {
		wg.Go(func() {
			answer, err := l.do(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				answered++
				if want(answer) {
					wanted++
				}
			}
		})
	}
	wg.Wait()
	return answered, wanted
}

func (l *lockServer) do(ctx context.Context, c command) (any, error) {
	if l.s == nil || l.s.closed() {
		var err error
		if l.s, err = l.dial(ctx); err != nil {
			return nil, err
		}
	}
	return l.s.do(ctx, c)
}

func (r *Redlock) quorum() int { return len(r.servers)/2 + 1 }

func anything(any) bool { return true }

// Acquire implements lock.Store: the lock is held if a majority gave it and the
// lease is not over yet. The servers have no tokens that grow from one majority
// to the next; those come from the store.
func (r *Redlock) Acquire(ctx context.Context, k int, owner string, lease time.Duration) (int64, bool, error) {
	if r.Closed() {
		return 0, false, targets.ErrClosed
	}
	delete(r.held, k)
	began := time.Now()
	_, got := r.each(ctx, acquiring(k, owner, lease), func(answer any) bool { return answer == "OK" })
	valid := lease - time.Since(began) - lease/driftShare - driftMin
	if got < r.quorum() || valid <= 0 {
		r.each(ctx, release.on(lockKey(k))(owner), anything)
		return 0, false, nil
	}
	if !r.fenced {
		return 0, true, nil
	}
	token, err := redis.Int64(r.store.do(ctx, command{"INCR", tag + "tokens"}))
	if err != nil {
		return 0, false, fmt.Errorf("draw a token: %w", err)
	}
	r.held[k] = token
	return token, true, nil
}

// Release implements lock.Store. What is not given back ends with its lease.
func (r *Redlock) Release(ctx context.Context, k int, owner string) error {
	delete(r.held, k)
	answered, _ := r.each(ctx, release.on(lockKey(k))(owner), anything)
	if answered < r.quorum() {
		return fmt.Errorf("release: %d of %d servers answered", answered, len(r.servers))
	}
	return nil
}

// Load implements lock.Store.
func (r *Redlock) Load(ctx context.Context, k int) ([]int, error) {
	token := r.held[k]
	if token == 0 {
		return list(r.store.do(ctx, command{"GET", guardedKey(k)}))
	}
	answer, err := r.store.do(ctx, presented(k, token))
	if err == nil && answer == nil {
		delete(r.held, k)
		return nil, errFenced
	}
	return list(answer, err)
}

// Save implements lock.Store.
func (r *Redlock) Save(ctx context.Context, k int, list []int, token int64) (bool, error) {
	answer, err := r.store.do(ctx, saving(k, list, token))
	if err == nil && answer == nil {
		delete(r.held, k)
	}
	return err == nil && answer != nil, err
}
