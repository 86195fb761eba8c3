package spanner_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/spanner"
)

// serve runs an emulator that is none of capstan's, and returns where.
func serve(t *testing.T) string {
	t.Helper()
	folder := spanner.SDKFolder()
	if folder == "" {
		require.Skip(t, "spanner-emulator", errors.New("there is no Google Cloud SDK with an emulator of Spanner"))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	conform.Must(t, err)
	addr := l.Addr().String()
	conform.Must(t, l.Close())
	cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "emulator_main"), "--host_port="+addr)
	conform.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Wait() })
	return addr
}

func TestExternal(t *testing.T) {
	addr := serve(t)
	s, err := spanner.Target{}.Start(t.Context(), targets.Spec{
		Topology: "external", Nodes: 1, Endpoint: addr, RunID: fmt.Sprintf("spanner-external-%d", os.Getpid()),
		Levels: map[string]string{"read": "strong", "staleness": "1s"},
	})
	conform.Must(t, err)
	conform.Ready(t, s, time.Minute)
	node := s.Cluster().Nodes[0]
	opened, err := s.Open(conform.Within(t, 5*time.Second), node, 0)
	conform.Must(t, err)
	c := opened.(*spanner.Conn)
	defer c.Close()
	conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 7))

	// What is sent into a cut is unknown; nothing else can be done to it.
	cut := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{{From: cluster.Clients, To: node}: cluster.Drop}}
	conform.Must(t, s.Cluster().Net.Apply(t.Context(), cut))
	if err := c.Write(conform.Within(t, 100*time.Millisecond), 1, 8); err == nil || errors.Is(err, history.ErrNotApplied) {
		t.Errorf("a write into a cut: %v", err)
	}
	conform.Heal(t, s)
	conform.Ready(t, s, time.Minute)
	if v, ok, err := c.Read(conform.Within(t, 5*time.Second), 1); err != nil || !ok || v != 7 && v != 8 {
		t.Errorf("read %d, %t, %v", v, ok, err)
	}
	conform.Must(t, s.Close(context.Background()))
	if _, err := s.Open(conform.Within(t, 5*time.Second), node, 0); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("the database is still there: %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	for endpoint, want := range map[string]string{
		"":                       "want projects/P/instances/I",
		"somewhere":              "want projects/P/instances/I",
		"projects/p":             "want projects/P/instances/I",
		"projects/p/instances/i": "find the credentials",
	} {
		s, err := spanner.Target{}.Start(t.Context(), targets.Spec{
			Topology: "external", Nodes: 1, Endpoint: endpoint, Levels: map[string]string{"read": "strong", "staleness": "1s"},
		})
		if s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("endpoint %q: %v, want %s", endpoint, err, want)
		}
	}
}
