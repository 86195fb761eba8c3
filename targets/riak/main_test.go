package riak_test

import (
	"os"
	"testing"

	"github.com/capstan-dev/capstan/internal/require"
)

func TestMain(m *testing.M) { os.Exit(require.WithAgent(m)) }
