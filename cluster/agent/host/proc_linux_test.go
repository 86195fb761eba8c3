package host_test

import (
	"fmt"
	"testing"

	"github.com/capstan-dev/capstan/cluster/agent/host"
)

// line is one of /proc/PID/stat.
func line(pid int, name string, parent, start int) string {
	return fmt.Sprintf("%d (%s) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0", pid, name, parent, start)
}

func TestServerProcess(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{line(10, "postgres", 1, 5), line(11, "postgres", 10, 6)}, "postgres"},
		{[]string{line(12, "sleep", 10, 7), line(11, "redis) T (server", 10, 6), line(10, "tini", 1, 5)}, "redis) T (server"},
		{[]string{line(10, "sh", 1, 5), line(11, "bash", 10, 6), line(12, "etcd", 11, 7)}, "etcd"},
		{[]string{line(10, "sh", 1, 5)}, "sh"},
		// What a script calls is not its server.
		{[]string{line(10, "sh", 1, 5), line(99, "sleep", 10, 95)}, "sh"},
		// A command that somebody runs beside the server is younger.
		{[]string{line(9, "psql", 3, 50), line(10, "sh", 1, 5), line(11, "mongod", 10, 6)}, "mongod"},
	} {
		if _, got, err := host.ServerOf(100, tt.lines...); got != tt.want || err != nil {
			t.Errorf("%q: %q, %v; want %q", tt.lines, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", "10 postgres S 1", "10 (postgres) S 1"} {
		if _, _, err := host.ServerOf(100, bad); err == nil {
			t.Errorf("%q is taken for a status", bad)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "any/thing", true},
		{"base/*/12*", "base/5/1259", true},
		{"base/*", "base/5/1259", false},
		{"*.wal", "pg/000.wal", true},
		{"1259", "base/5/1259", true},
		{"1259", "base/5/12590", false},
	} {
		if got, err := host.Matches(tt.pattern, tt.name); got != tt.want || err != nil {
			t.Errorf("%q on %q: %t, %v", tt.pattern, tt.name, got, err)
		}
	}
	if _, err := host.Matches("[", "x"); err == nil {
		t.Error("a bad pattern is taken")
	}
}
