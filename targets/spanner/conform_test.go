package spanner_test

import (
	"testing"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/spanner"
)

func TestConform(t *testing.T) {
	needEmulator(t)
	// Calls that were cut off must not stand in the way of others.
	conform.Run(t, spanner.Target{}, "emulator", "abort_current_transaction_probability=100")
}

// needEmulator skips where the emulator is not to be had: neither its image nor
// a Google Cloud SDK to make it from.
func needEmulator(t *testing.T) {
	t.Helper()
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	defer e.Close()
	if _, err := e.EnsureImage(t.Context(), spanner.Target{}.Images()[0]); err != nil {
		require.Skip(t, "spanner-emulator", err)
	}
}
