package redis_test

import (
	"testing"

	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/redis"
)

func TestConform(t *testing.T) {
	for topology, levels := range map[string][]string{
		"single":   {"appendfsync=always", "fencing=token"},
		"sentinel": {"wait=1", "min-replicas-to-write=1"},
		"cluster":  {"fencing=token"},
		"redlock":  {"fencing=token"},
	} {
		t.Run(topology, func(t *testing.T) { conform.Run(t, redis.Target{}, topology, levels...) })
	}
}
