package postgres_test

import (
	"testing"

	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/postgres"
)

func TestConform(t *testing.T) {
	for _, c := range []struct {
		topology string
		levels   []string
	}{
		{topology: "single", levels: []string{"isolation=serializable"}},
		{topology: "async"},
		{topology: "sync"},
		{topology: "patroni", levels: []string{"timing=fast", "synchronous_mode=on"}},
	} {
		t.Run(c.topology, func(t *testing.T) { conform.Run(t, postgres.Target{}, c.topology, c.levels...) })
	}
}
