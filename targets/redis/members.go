package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/targets/deploy"
)

func (s *system) members() *cluster.Members {
	why := s.Cluster().Why
	why["Members.Remove"] = "the servers of this deployment of Redis are fixed"
	why["Members.Transfer"] = "nobody fails over"
	m := &cluster.Members{Upgrade: s.Upgrade}
	switch s.Spec.Topology {
	case sentinel:
		m.List, m.Transfer = s.listWatched, s.transferWatched
		delete(why, "Members.Transfer")
	case sharded:
		m.List, m.Transfer = s.listPeers, s.transferShard
		delete(why, "Members.Transfer")
	}
	return m
}

// listWatched asks a sentinel for the servers that it watches.
func (s *system) listWatched(ctx context.Context) ([]string, error) {
	var errs []error
	for i := range sentinels {
		names, err := s.watchedBy(ctx, sentinelName(i))
		if err == nil {
			return names, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", sentinelName(i), err))
	}
	return nil, fmt.Errorf("list servers: %w", errors.Join(errs...))
}

func (s *system) watchedBy(ctx context.Context, node string) ([]string, error) {
	primary, err := redis.StringMap(s.ask(ctx, node, command{"SENTINEL", "MASTER", watched}))
	if err != nil {
		return nil, err
	}
	replicas, err := s.replicas(ctx, node)
	if err != nil {
		return nil, err
	}
	names := []string{primary["ip"]}
	for _, r := range replicas {
		names = append(names, r["ip"])
	}
	slices.Sort(names)
	return names, nil
}

// listPeers asks the first node of a Redis Cluster that answers.
func (s *system) listPeers(ctx context.Context) ([]string, error) {
	var errs []error
	for _, n := range s.servers() {
		peers, err := s.peers(ctx, n)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n, err))
			continue
		}
		var names []string
		for _, m := range s.servers() {
			if slices.ContainsFunc(peers, func(p peer) bool { return strings.HasPrefix(p.addr, s.address(m)+"@") }) {
				names = append(names, m)
			}
		}
		return names, nil
	}
	return nil, fmt.Errorf("list nodes: %w", errors.Join(errs...))
}

// transferTimeout bounds a hand-over. Sentinels ask servers for their priority
// every 10 s.
const transferTimeout = 25 * time.Second

// The lower a replica's priority, the sooner sentinels choose it.
const preferred, ordinary = 1, 100

// transferWatched makes a replica the one that the sentinels prefer, and tells
// them to fail over.
func (s *system) transferWatched(ctx context.Context, to string) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	err := s.prefer(ctx, to)
	if err == nil {
		err = deploy.Poll(ctx, deploy.PollEvery, func() error { return s.leads(ctx, to, command{"SENTINEL", "FAILOVER", watched}, sentinelName(0)) })
	}
	_, back := s.ask(context.WithoutCancel(ctx), to, command{"CONFIG", "SET", "replica-priority", ordinary})
	if err := errors.Join(err, back); err != nil {
		return fmt.Errorf("transfer to %s: %w", to, err)
	}
	return nil
}

// prefer waits until the first sentinel knows that it is to prefer a replica.
func (s *system) prefer(ctx context.Context, to string) error {
	if _, err := s.ask(ctx, to, command{"CONFIG", "SET", "replica-priority", preferred}); err != nil {
		return err
	}
	return deploy.Poll(ctx, deploy.PollEvery, func() error {
		replicas, err := s.replicas(ctx, sentinelName(0))
		if err != nil {
			return err
		}
		for _, r := range replicas {
			if r["ip"] == to && r["slave-priority"] == strconv.Itoa(preferred) {
				return nil
			}
		}
		return fmt.Errorf("%s is no replica that %s would prefer", to, sentinelName(0))
	})
}

// transferShard tells a replica of a Redis Cluster to take over in agreement
// with its primary.
func (s *system) transferShard(ctx context.Context, to string) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	err := deploy.Poll(ctx, deploy.PollEvery, func() error { return s.leads(ctx, to, command{"CLUSTER", "FAILOVER"}, to) })
	if err != nil {
		return fmt.Errorf("transfer to %s: %w", to, err)
	}
	return nil
}

// leads is nil if the node is primary; if not, it tells somebody to change that.
func (s *system) leads(ctx context.Context, node string, change command, whom string) error {
	answer, err := s.ask(ctx, node, command{"ROLE"})
	if err != nil || role(answer) == "master" {
		return err
	}
	_, err = s.ask(ctx, whom, change)
	return errors.Join(errors.New("it is a replica still"), err)
}

// now asks a node for its own time. Sentinels have no command for it, but tell
// it among other things.
func (s *system) now(ctx context.Context, node string) (time.Time, error) {
	if s.isSentinel(node) {
		i, err := s.info(ctx, node)
		if err != nil {
			return time.Time{}, err
		}
		micros, err := strconv.ParseInt(i["server_time_usec"], 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("read time: %w", err)
		}
		return time.UnixMicro(micros), nil
	}
	parts, err := redis.Int64s(s.ask(ctx, node, command{"TIME"}))
	if err != nil || len(parts) != 2 {
		return time.Time{}, errors.Join(err, fmt.Errorf("TIME has %d parts", len(parts)))
	}
	return time.Unix(parts[0], parts[1]*int64(time.Microsecond)), nil
}
