package mysql_test

import (
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/mysql"
)

func TestPromises(t *testing.T) {
	for _, c := range []struct{ topology, changes, claim, isolation string }{
		{"single", "", "linearizable", "repeatable-read"},
		{"single", "isolation=serializable", "linearizable", "serializable"},
		{"single", "isolation=read-committed", "linearizable", "read-committed"},
		{"single", "isolation=read-committed append=rmw", "linearizable", ""},
		{"single", "isolation=read-uncommitted", "", "read-uncommitted"},
		{"single", "isolation=read-uncommitted append=rows", "", ""},
		{"single", "innodb_flush_log_at_trx_commit=2", "", "repeatable-read"},
		{"async", "", "linearizable", "repeatable-read"},
		{"async", "read=replica", "", "read-committed"},
		{"galera", "", "", "snapshot-isolation"},
		{"galera", "wsrep_sync_wait=1", "linearizable", "snapshot-isolation"},
		{"galera", "wsrep_sync_wait=7 isolation=serializable", "linearizable", "snapshot-isolation"},
		{"galera", "isolation=read-committed", "", "read-committed"},
	} {
		levels := conform.Request(t, mysql.Target{}, c.topology, strings.Fields(c.changes)...).Levels
		claim, isolation := mysql.Promises(c.topology, levels)
		if claim != c.claim || isolation != c.isolation {
			t.Errorf("%s %s: %q and %q, want %q and %q", c.topology, c.changes, claim, isolation, c.claim, c.isolation)
		}
	}
}
