package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/targets/deploy"
)

const (
	// shards of a Redis Cluster: their primaries are the first nodes, and then
	// come their replicas.
	shards = 3
	// slots are what keys are hashed into.
	slots = 16384
)

// peer is a node of a Redis Cluster as another one sees it.
type peer struct {
	id, addr, flags string
	linked          bool
}

// peers are the nodes that a node knows, itself included.
func (s *system) peers(ctx context.Context, node string) ([]peer, error) {
	text, err := redis.String(s.ask(ctx, node, command{"CLUSTER", "NODES"}))
	if err != nil {
		return nil, err
	}
	var all []peer
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 8 {
			all = append(all, peer{id: f[0], addr: f[1], flags: f[2], linked: f[7] == "connected"})
		}
	}
	return all, nil
}

// form makes a Redis Cluster of new nodes: each gets an epoch of its own and the
// primaries their slots, they meet, and the replicas are told whom to follow. It
// can be tried again.
func (s *system) form(ctx context.Context) error {
	nodes := s.servers()
	for i, n := range nodes {
		if err := s.introduce(ctx, i, n); err != nil {
			return deploy.NotReady(n, err)
		}
	}
	for i, n := range nodes[shards:] {
		id, err := redis.String(s.ask(ctx, nodes[i], command{"CLUSTER", "MYID"}))
		if err == nil {
			err = s.follow(ctx, n, id)
		}
		if err != nil {
			return deploy.NotReady(n, fmt.Errorf("follow %s: %w", nodes[i], err))
		}
	}
	return nil
}

// introduce gives a node its slots and lets it meet the first one.
func (s *system) introduce(ctx context.Context, i int, node string) error {
	known, err := s.peers(ctx, node)
	if err != nil || len(known) > 1 {
		return err
	}
	commands := []command{{"CLUSTER", "SET-CONFIG-EPOCH", i + 1}}
	if i < shards {
		commands = append(commands, command{"CLUSTER", "ADDSLOTSRANGE", i * slots / shards, (i+1)*slots/shards - 1})
	}
	if i > 0 {
		commands = append(commands, command{"CLUSTER", "MEET", s.Docker.Nodes[0].IP.String(), serverPort})
	}
	for _, c := range commands {
		if _, err := s.ask(ctx, node, c); err != nil && !strings.Contains(err.Error(), "already") {
			return err
		}
	}
	return nil
}

// follow makes a node a replica, once it has heard of the primary.
func (s *system) follow(ctx context.Context, node, primary string) error {
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	return deploy.Poll(ctx, deploy.PollEvery, func() error {
		_, err := s.ask(ctx, node, command{"CLUSTER", "REPLICATE", primary})
		return err
	})
}

const formTimeout = 20 * time.Second

// address is how a node calls itself among its peers.
func (s *system) address(node string) string {
	i := slices.Index(s.Cluster().Nodes, node)
	return fmt.Sprintf("%s:%d", s.Docker.Nodes[i].IP, serverPort)
}
