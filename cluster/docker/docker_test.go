package docker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/internal/require"
)

// testEngine connects to the engine, or skips the test.
func testEngine(t testing.TB) *docker.Engine {
	t.Helper()
	e, err := docker.Connect(t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// runID is unique to the test and the process.
func runID(t testing.TB) string {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	return fmt.Sprintf("%s-%d", name, os.Getpid())
}

// testCluster starts a cluster, and at the end removes it and checks that
// nothing is left.
func testCluster(t testing.TB, e *docker.Engine, nodes []docker.NodeSpec) *docker.Cluster {
	t.Helper()
	id := runID(t)
	c, err := e.Start(t.Context(), docker.Spec{RunID: id, Nodes: nodes})
	if c != nil {
		t.Cleanup(func() {
			if err := c.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
			left, err := e.Clean(context.Background(), id)
			if err != nil || !left.Empty() {
				t.Errorf("after close there was left: %v, %v", left, err)
			}
		})
	}
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return c
}

// serverNodes are n nodes with a server that listens on port 8000.
func serverNodes(t testing.TB, e *docker.Engine, n int) []docker.NodeSpec {
	t.Helper()
	img, err := e.EnsureImage(t.Context(), docker.HolderImage())
	if err != nil {
		t.Fatal(err)
	}
	nodes := docker.Bare(n)
	for i := range nodes {
		nodes[i].Ports = []int{8000}
		nodes[i].Server = &docker.Server{
			Name: "echo", Image: img.Ref, User: "nobody",
			Entrypoint: []string{"perl", "/srv/echo.pl"},
			Files:      []docker.File{{Path: "/srv/echo.pl", Mode: 0o755, Content: []byte(echo)}},
			Volumes:    []string{"/data"},
		}
	}
	return nodes
}

// echo greets everybody who connects with its host name.
const echo = `
use IO::Socket::INET; use POSIX ();
$| = 1;
my $s = IO::Socket::INET->new(LocalPort => 8000, Listen => 9, ReuseAddr => 1) or die "listen: $!";
print "ready\n";
while (my $c = $s->accept) { print $c "hello from ", (POSIX::uname())[1], "\n"; close $c }
`

func links(pairs ...string) cluster.LinkState {
	s := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
	for _, p := range pairs {
		from, to, _ := strings.Cut(p, ">")
		s.Cut[cluster.Link{From: from, To: to}] = cluster.Drop
	}
	return s
}

// apart cuts all links between nodes of different groups.
func apart(groups ...[]string) cluster.LinkState {
	s := links()
	for i, g := range groups {
		for j, h := range groups {
			for _, a := range g {
				for _, b := range h {
					if i != j && a != b {
						s.Cut[cluster.Link{From: a, To: b}] = cluster.Drop
					}
				}
			}
		}
	}
	return s
}

// expect probes until the links are as wanted, and no other.
func expect(t testing.TB, c *docker.Cluster, want cluster.LinkState) {
	t.Helper()
	reach, err := c.Net.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Nodes); len(reach) != n*(n-1) && len(reach) != n*(n+1) {
		t.Fatalf("probe told of %d links, want %d or %d", len(reach), n*(n-1), n*(n+1))
	}
	for l, arrived := range reach {
		if arrived != (want.Cut[l] == cluster.Open) {
			t.Errorf("%s to %s: arrived %t, cut %v", l.From, l.To, arrived, want.Cut[l])
		}
	}
}

// until asks cond again and again until it is nil.
func until(t testing.TB, limit time.Duration, cond func() error) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %v", limit, err)
		}
		<-tick.C
	}
}

func bare5() []docker.NodeSpec { return docker.Bare(5) }

// passes is nil if a connection from inside one server to another node's
// works. A swept server has no rules either.
func passes(ctx context.Context, e *docker.Engine, from, to string) error {
	out, code, err := e.Exec(ctx, from, "perl", "-MIO::Socket::INET", "-e",
		`alarm 2; my $s = IO::Socket::INET->new(PeerAddr => "`+to+`:8000", Timeout => 0.3) or die "$@\n"; print <$s>`)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err == nil && (code != 0 || !strings.HasPrefix(out, "hello")) {
		err = fmt.Errorf("exit %d: %s", code, out)
	}
	return err
}
