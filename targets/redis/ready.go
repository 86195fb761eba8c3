package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// Ready implements targets.System: every server answers and has loaded its data,
// every replica follows the one primary, and those who fail over, sentinels or
// the nodes of a Redis Cluster, know all this.
func (s *system) Ready(ctx context.Context) error {
	return s.Await(ctx, func(ctx context.Context) error {
		switch s.Spec.Topology {
		case sentinel:
			return s.checkSentinel(ctx)
		case sharded:
			return s.checkCluster(ctx)
		}
		return s.checkServers(ctx)
	})
}

// info is what INFO says.
func (s *system) info(ctx context.Context, node string) (map[string]string, error) {
	text, err := redis.String(s.ask(ctx, node, command{"INFO"}))
	if err != nil {
		return nil, err
	}
	return fields(text), nil
}

// fields reads lines "name:value".
func fields(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[name] = value
		}
	}
	return all
}

// expect compares what a node says of itself with what it should.
func expect(got map[string]string, want map[string]string) error {
	for name, w := range want {
		if got[name] != w {
			return fmt.Errorf("%s is %q, want %q", name, got[name], w)
		}
	}
	return nil
}

func (s *system) checkServers(ctx context.Context) error {
	for _, n := range s.servers() {
		i, err := s.info(ctx, n)
		if err == nil {
			err = expect(i, map[string]string{"loading": "0", "role": "master"})
		}
		if err != nil {
			return deploy.NotReady(n, err)
		}
		s.SetVersion("redis", i["redis_version"])
	}
	return nil
}

func (s *system) checkSentinel(ctx context.Context) error {
	servers := s.servers()
	primaries, err := s.primaries(ctx)
	if err != nil {
		return err
	}
	if len(primaries) != 1 {
		return deploy.NotReady(servers[0], fmt.Errorf("the primaries are %v, want one", primaries))
	}
	replicas := strconv.Itoa(len(servers) - 1)
	for _, n := range servers {
		want := map[string]string{"loading": "0", "role": "slave", "master_host": primaries[0], "master_link_status": "up"}
		if n == primaries[0] {
			want = map[string]string{"loading": "0", "role": "master", "connected_slaves": replicas}
		}
		i, err := s.info(ctx, n)
		if err == nil {
			err = expect(i, want)
		}
		if err != nil {
			return deploy.NotReady(n, err)
		}
		s.SetVersion("redis", i["redis_version"])
	}
	for i := range sentinels {
		if err := s.checkWatcher(ctx, sentinelName(i), primaries[0], replicas); err != nil {
			return deploy.NotReady(sentinelName(i), err)
		}
	}
	return nil
}

// checkWatcher asks a sentinel whether it knows the servers and the others.
func (s *system) checkWatcher(ctx context.Context, node, primary, replicas string) error {
	got, err := redis.StringMap(s.ask(ctx, node, command{"SENTINEL", "MASTER", watched}))
	if err == nil {
		err = expect(got, map[string]string{
			"ip": primary, "flags": "master", "num-slaves": replicas, "num-other-sentinels": strconv.Itoa(sentinels - 1),
		})
	}
	if err != nil {
		return err
	}
	found, err := s.replicas(ctx, node)
	if err != nil {
		return err
	}
	for _, r := range found {
		if err := expect(r, map[string]string{"flags": "slave", "master-link-status": "ok"}); err != nil {
			return fmt.Errorf("replica %s: %w", r["ip"], err)
		}
	}
	return nil
}

// replicas are those that a sentinel knows.
func (s *system) replicas(ctx context.Context, node string) ([]map[string]string, error) {
	answer, err := redis.Values(s.ask(ctx, node, command{"SENTINEL", "REPLICAS", watched}))
	if err != nil {
		return nil, err
	}
	var all []map[string]string
	for _, a := range answer {
		m, err := redis.StringMap(a, nil)
		if err != nil {
			return nil, fmt.Errorf("read replicas: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

// primaries asks every server that clients connect to whether it takes itself
// for the primary. Those that do not answer are left out.
func (s *system) primaries(ctx context.Context) ([]string, error) {
	return s.Where(ctx, s.Cluster().Served(), func(ctx context.Context, node string) bool {
		answer, err := s.ask(ctx, node, command{"ROLE"})
		return err == nil && role(answer) == "master"
	})
}

// checkCluster lets the nodes of a new Redis Cluster meet, and then asks each
// for what it knows of all.
func (s *system) checkCluster(ctx context.Context) error {
	if err := s.checkLoaded(ctx); err != nil {
		return err
	}
	if !s.formed {
		if err := s.form(ctx); err != nil {
			return err
		}
		s.formed = true
	}
	nodes := s.servers()
	want := map[string]string{"cluster_state": "ok", "cluster_slots_ok": strconv.Itoa(slots), "cluster_known_nodes": strconv.Itoa(len(nodes))}
	for _, n := range nodes {
		text, err := redis.String(s.ask(ctx, n, command{"CLUSTER", "INFO"}))
		if err == nil {
			err = expect(fields(text), want)
		}
		if err == nil {
			err = s.checkView(ctx, n)
		}
		if err != nil {
			return deploy.NotReady(n, err)
		}
	}
	if p, err := s.primaries(ctx); err != nil || len(p) != 1 {
		return deploy.NotReady(nodes[0], errors.Join(err, fmt.Errorf("the primaries of its shard are %v, want one", p)))
	}
	return nil
}

// checkLoaded asks every node for its data; a replica for its primary's.
func (s *system) checkLoaded(ctx context.Context) error {
	for _, n := range s.servers() {
		i, err := s.info(ctx, n)
		if err == nil {
			err = expect(i, map[string]string{"loading": "0"})
		}
		if err == nil && i["role"] == "slave" {
			err = expect(i, map[string]string{"master_link_status": "up"})
		}
		if err != nil {
			return deploy.NotReady(n, err)
		}
		s.SetVersion("redis", i["redis_version"])
	}
	return nil
}

// checkView asks a node of a Redis Cluster how it finds the others.
func (s *system) checkView(ctx context.Context, node string) error {
	peers, err := s.peers(ctx, node)
	if err != nil {
		return err
	}
	for _, p := range peers {
		for _, bad := range []string{"fail", "handshake", "noaddr"} {
			if strings.Contains(p.flags, bad) {
				return fmt.Errorf("it finds %s %s", p.addr, p.flags)
			}
		}
		if !p.linked {
			return fmt.Errorf("it has no link to %s", p.addr)
		}
	}
	return nil
}
