package postgres_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
)

// crashes is how often a server's disk crashes in each test: CAPSTAN_CRASHES,
// or a few.
func crashes(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("CAPSTAN_CRASHES"))
	if err != nil {
		return 3
	}
	return n
}

// addUntil adds elements one after another until the connection breaks, and
// returns those that were acknowledged.
func addUntil(t *testing.T, s targets.System, first int, stop time.Duration, crash func()) (acked []int) {
	t.Helper()
	c := open(t, s, "n1")
	time.AfterFunc(stop, crash)
	for e := first; ; e++ {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := c.Add(ctx, e)
		cancel()
		if err != nil {
			return acked
		}
		acked = append(acked, e)
	}
}

// TestCrash: what PostgreSQL acknowledged with synchronous_commit it has
// synced, so it survives a crash of the disk; without, it may be lost.
func TestCrash(t *testing.T) {
	for _, disk := range []docker.DiskBacking{docker.DiskLoop, docker.DiskFUSE} {
		for _, commit := range []string{"on", "off"} {
			t.Run(string(disk)+"-"+commit, func(t *testing.T) {
				s := startOn(t, disk, "single", "synchronous_commit="+commit)
				if err := s.Cluster().Disks.CrashLoses(); err != nil {
					t.Fatal(err)
				}
				lost, all := 0, 0
				for round := range crashes(t) {
					l, a := crashOnce(t, s, all)
					t.Logf("crash %d: %d of %d acknowledged elements lost", round, l, a)
					lost, all = lost+l, all+a+1
				}
				switch {
				case commit == "on" && lost > 0:
					t.Errorf("%d of %d acknowledged elements lost", lost, all)
				case commit == "off" && lost == 0:
					t.Errorf("none of %d acknowledged elements lost: the crash loses nothing", all)
				}
			})
		}
	}
}

func crashOnce(t *testing.T, s targets.System, first int) (lost, acked int) {
	t.Helper()
	crashed := make(chan error, 1)
	elements := addUntil(t, s, first, time.Second, func() { crashed <- s.Cluster().Disks.Crash(t.Context(), "n1") })
	conform.Must(t, <-crashed)
	conform.Must(t, s.Cluster().Procs.Start(t.Context(), "n1"))
	ready(t, s)
	found, err := open(t, s, "n1").ReadAll(t.Context())
	conform.Must(t, err)
	slices.Sort(found)
	for _, e := range elements {
		if _, ok := slices.BinarySearch(found, e); !ok {
			lost++
		}
	}
	return lost, len(elements)
}
