package postgres_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/postgres"
	"github.com/capstan-dev/capstan/workloads/register"
)

// start brings up a ready system; it is removed at the end of the test, and
// nothing may be left of it.
func start(t *testing.T, topology string, changes ...string) targets.System {
	t.Helper()
	return startOn(t, docker.DiskPlain, topology, changes...)
}

func startOn(t *testing.T, disk docker.DiskBacking, topology string, changes ...string) targets.System {
	t.Helper()
	spec := conform.Request(t, postgres.Target{}, topology, changes...)
	spec.Disk = string(disk)
	return conform.Start(t, postgres.Target{}, spec, readyLimit)
}

// readyLimit is how long the system may take until it is ready.
const readyLimit = time.Minute

func ready(t *testing.T, s targets.System) {
	t.Helper()
	conform.Ready(t, s, readyLimit)
}

func open(t *testing.T, s targets.System, node string) *postgres.Conn {
	t.Helper()
	return conform.Open[*postgres.Conn](t, s, node, 10*time.Second)
}

func wantRead(t *testing.T, c *postgres.Conn, key, want int) {
	t.Helper()
	if v, ok, err := c.Read(conform.Within(t, 5*time.Second), key); err != nil || !ok || v != want {
		t.Errorf("read %d: %d, %t, %v; want %d", key, v, ok, err, want)
	}
}

// wantDefinite and wantUnknown check what an error says of the call.
func wantDefinite(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, history.ErrNotApplied) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want a definite failure with %q", err, text)
	}
}

func wantUnknown(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || errors.Is(err, history.ErrNotApplied) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want an unknown outcome with %q", err, text)
	}
}

func TestSingle(t *testing.T) {
	s := start(t, "single")
	if got := s.Claim(); got != "linearizable" {
		t.Errorf("claim %q", got)
	}
	c := open(t, s, "n1")
	ctx := t.Context()
	if _, ok, err := c.Read(ctx, 1); ok || err != nil {
		t.Errorf("read of an absent key: %t, %v", ok, err)
	}
	if got, err := c.CAS(ctx, 1, 0, 1); got != register.Found(0, false) || err != nil {
		t.Errorf("cas of an absent key: %+v, %v", got, err)
	}
	conform.Must(t, c.Write(ctx, 1, 10))
	conform.Must(t, c.Write(ctx, 1, 11))
	wantRead(t, c, 1, 11)
	if got, err := c.CAS(ctx, 1, 10, 12); got != register.Found(11, true) || err != nil {
		t.Errorf("cas from a wrong value: %+v, %v", got, err)
	}
	if got, err := c.CAS(ctx, 1, 11, 12); !got.Done || err != nil {
		t.Errorf("cas: %+v, %v", got, err)
	}
	wantRead(t, c, 1, 12)

	if got, err := c.ReadAll(ctx); err != nil || got == nil || len(got) != 0 {
		t.Errorf("empty set: %v, %v", got, err)
	}
	for i := range 5 {
		conform.Must(t, c.Add(ctx, i))
	}
	got, err := c.ReadAll(ctx)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("set: %v, %v", got, err)
	}
	testPause(t, s, c)
	testKill(t, s, open(t, s, "n1"))
}

// testPause: a frozen server answers nothing, and what was asked may happen
// once it thaws.
func testPause(t *testing.T, s targets.System, c *postgres.Conn) {
	procs := s.Cluster().Procs
	conform.Must(t, procs.Pause(t.Context(), "n1"))
	wantUnknown(t, c.Write(conform.Within(t, 300*time.Millisecond), 2, 20), "deadline exceeded")
	wantClosed(t, s, c)
	conform.Must(t, procs.Resume(t.Context(), "n1"))
	ready(t, s)
	c = open(t, s, "n1")
	conform.Must(t, c.Write(conform.Within(t, 5*time.Second), 2, 22))
	wantRead(t, c, 2, 22)
}

// testKill: a lost connection is unknown, a refused one definite, and what was
// acknowledged is there after the restart.
func testKill(t *testing.T, s targets.System, c *postgres.Conn) {
	procs := s.Cluster().Procs
	conform.Must(t, c.Write(t.Context(), 3, 30))
	conform.Must(t, procs.Kill(t.Context(), "n1"))
	// A dying backend may still find the time to say so.
	wantUnknown(t, c.Write(conform.Within(t, time.Second), 3, 31), "")
	wantClosed(t, s, c)
	if p, err := s.Cluster().Primaries(t.Context()); err != nil || len(p) != 0 {
		t.Errorf("primaries of a dead cluster: %v, %v", p, err)
	}
	conform.Must(t, procs.Start(t.Context(), "n1"))
	began := time.Now()
	ready(t, s)
	t.Logf("killed server ready again after %v", time.Since(began))
	wantRead(t, open(t, s, "n1"), 3, 30)
}

// wantClosed checks that the connection says that it is of no use, does
// nothing any more, and that its node takes no other.
func wantClosed(t *testing.T, s targets.System, c *postgres.Conn) {
	t.Helper()
	if !c.Closed() {
		t.Error("the connection is not closed")
	}
	wantDefinite(t, c.Write(conform.Within(t, time.Second), 9, 9), "closed")
	_, err := s.Open(conform.Within(t, 300*time.Millisecond), "n1", 1)
	wantDefinite(t, err, "connect to n1")
}

func TestAsync(t *testing.T) {
	s := start(t, "async", "read=replica", "isolation=serializable")
	if got := s.Claim(); got != "" {
		t.Errorf("claim %q of reads at replicas", got)
	}
	conform.WantPrimaries(t, s, "n1")
	n1, n2 := open(t, s, "n1"), open(t, s, "n2")
	wantDefinite(t, n2.Write(t.Context(), 1, 1), "25006")
	conform.Must(t, n1.Write(t.Context(), 1, 10))
	ready(t, s)

	// Cut off, the primary goes on and the replica is left behind.
	conform.Isolate(t, s, "n1", cluster.Drop)
	conform.Must(t, n1.Write(conform.Within(t, 5*time.Second), 1, 11))
	wantRead(t, n1, 1, 11)
	wantRead(t, n2, 1, 10)
	// Long enough for both ends to give the connection up.
	gone := conform.Within(t, 8*time.Second)
	<-gone.Done()
	conform.Heal(t, s)
	began := time.Now()
	ready(t, s)
	conform.Wait(t, 10*time.Second, func() error {
		v, _, err := n2.Read(conform.Within(t, time.Second), 1)
		if err == nil && v != 11 {
			err = fmt.Errorf("n2 reads %d", v)
		}
		return err
	})
	t.Logf("replicas agree %v after the heal of an 8 s cut", time.Since(began))

	conform.Must(t, s.Cluster().Procs.Kill(t.Context(), "n2"))
	conform.Must(t, s.Cluster().Procs.Start(t.Context(), "n2"))
	ready(t, s)

	dir := t.TempDir()
	conform.Must(t, s.Logs(t.Context(), dir))
	for _, n := range []string{"n1", "n2", "n3"} {
		b, err := os.ReadFile(filepath.Join(dir, n, "postgres.log"))
		if err != nil || !strings.Contains(string(b), "ready to accept") {
			t.Errorf("log of %s: %d bytes, %v", n, len(b), err)
		}
	}
}

func TestSync(t *testing.T) {
	s := start(t, "sync")
	if got := s.Claim(); got != "linearizable" {
		t.Errorf("claim %q", got)
	}
	n1, n2 := open(t, s, "n1"), open(t, s, "n2")
	conform.Must(t, n1.Write(t.Context(), 1, 10))
	_, _, err := n2.Read(t.Context(), 1)
	wantDefinite(t, err, "n2 is a standby; level read=primary")
	_, err = n2.ReadAll(t.Context())
	wantDefinite(t, err, "n2 is a standby; level read=primary")

	// Cut off from all its standbys the primary commits locally and waits;
	// whoever gives up waiting does not know.
	conform.Isolate(t, s, "n1", cluster.Drop)
	wantUnknown(t, n1.Write(conform.Within(t, time.Second), 1, 11), "deadline exceeded")

	// A cancelled wait is a success with a warning: not an acknowledgement.
	done := make(chan error, 1)
	c := open(t, s, "n1")
	go func() { done <- c.Write(conform.Within(t, 20*time.Second), 2, 20) }()
	admin := open(t, s, "n1")
	conform.Wait(t, 10*time.Second, func() error { return admin.CancelSyncWaits(conform.Within(t, time.Second)) })
	err = <-done
	wantUnknown(t, err, "canceling wait for synchronous replication")
	t.Logf("cancelled wait: %v", err)
	wantRead(t, admin, 2, 20)

	// The same when the administrator ends the connection.
	go func() { done <- c.Write(conform.Within(t, 20*time.Second), 3, 30) }()
	conform.Wait(t, 10*time.Second, func() error { return admin.TerminateSyncWaits(conform.Within(t, time.Second)) })
	err = <-done
	wantUnknown(t, err, "")
	t.Logf("terminated wait: %v", err)

	conform.Heal(t, s)
	began := time.Now()
	ready(t, s)
	conform.Must(t, open(t, s, "n1").Write(conform.Within(t, 10*time.Second), 1, 12))
	t.Logf("writes resume %v after the heal", time.Since(began))
}

// TestOfficialLayouts runs images that are laid out like the official ones: a
// volume at the data, an entry point of their own, and since 18 PGDATA in a
// folder that the volume does not have yet.
func TestOfficialLayouts(t *testing.T) {
	e, err := docker.Connect(t.Context(), nil)
	if err != nil {
		require.Skip(t, "docker", err)
	}
	defer e.Close()
	base, err := e.EnsureImage(t.Context(), postgres.LocalImage())
	conform.Must(t, err)
	for name, layout := range map[string]string{
		"17": "VOLUME /var/lib/postgresql/data",
		"18": "RUN rm -rf /var/lib/postgresql && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql\n" +
			"ENV PGDATA=/var/lib/postgresql/18/docker\nVOLUME /var/lib/postgresql",
	} {
		t.Run(name, func(t *testing.T) {
			img, err := e.EnsureImage(t.Context(), docker.Image{Name: "capstan-test-layout", Files: fstest.MapFS{"Dockerfile": {
				Data: []byte("FROM " + base.Ref + "\n" + layout + "\nENTRYPOINT [\"docker-entrypoint.sh\"]\nCMD [\"postgres\"]\n"),
			}}})
			conform.Must(t, err)
			t.Setenv("CAPSTAN_POSTGRES_IMAGE", img.Ref)
			s := start(t, "async", "read=replica")
			if got := s.Versions()["image"]; got != img.Ref {
				t.Errorf("runs %s, want %s", got, img.Ref)
			}
			conform.Must(t, open(t, s, "n1").Write(t.Context(), 1, 10))
			ready(t, s)
			wantRead(t, open(t, s, "n3"), 1, 10)
			conform.Must(t, s.Cluster().Procs.Kill(t.Context(), "n3"))
			conform.Must(t, s.Cluster().Procs.Start(t.Context(), "n3"))
			ready(t, s)
			wantRead(t, open(t, s, "n3"), 1, 10)
		})
	}
}

func TestDeadNodeTellsItsLog(t *testing.T) {
	s := start(t, "single")
	conform.Must(t, s.Cluster().Procs.Kill(t.Context(), "n1"))
	err := s.Ready(conform.Within(t, 10*time.Second))
	if err == nil || !strings.Contains(err.Error(), "n1: server is dead (exit code 137)") ||
		!strings.Contains(err.Error(), "database system is ready to accept connections") {
		t.Errorf("ready with a dead node: %v", err)
	}
}
