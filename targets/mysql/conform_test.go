package mysql_test

import (
	"testing"

	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/mysql"
)

func TestConform(t *testing.T) {
	for _, c := range []struct {
		topology string
		levels   []string
	}{
		{topology: "single"},
		{topology: "async"},
		{topology: "semisync", levels: []string{"timeout=never"}},
		{topology: "galera", levels: []string{"wsrep_sync_wait=1", "eviction=fast"}},
	} {
		t.Run(c.topology, func(t *testing.T) { conform.Run(t, mysql.Target{}, c.topology, c.levels...) })
	}
}
