package postgres_test

import (
	"testing"

	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/postgres"
)

func TestConformSingle(t *testing.T) { conform.Run(t, postgres.Target{}, "single") }
func TestConformAsync(t *testing.T)  { conform.Run(t, postgres.Target{}, "async") }
func TestConformSync(t *testing.T)   { conform.Run(t, postgres.Target{}, "sync") }
