package riak_test

import (
	"testing"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/riak"
)

func TestConform(t *testing.T) {
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	defer e.Close()
	if _, err := e.EnsureImage(t.Context(), riak.Target{}.Images()[0]); err != nil {
		require.Skip(t, "riak", err)
	}
	for _, resolve := range resolves {
		t.Run(resolve, func(t *testing.T) { conform.Run(t, riak.Target{}, "cluster", "resolve="+resolve) })
	}
}
