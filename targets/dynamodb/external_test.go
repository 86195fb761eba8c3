package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/dynamodb"
)

// endpoint starts DynamoDB Local and returns its URL.
func endpoint(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	sys, err := dynamodb.Target{}.Start(ctx, targets.Spec{
		Topology: "local", Nodes: 1, RunID: fmt.Sprintf("dynamodb-endpoint-%d", os.Getpid()),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if sys == nil {
		require.Skip(t, "docker", err)
	}
	t.Cleanup(func() {
		if err := sys.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(err, sys.Ready(ctx)); err != nil {
		t.Fatal(err)
	}
	return sys.(targets.Endpoints).Endpoints("n1")[0]
}

func tables(t *testing.T, url string) int {
	t.Helper()
	settings, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := sdk.NewFromConfig(settings, func(o *sdk.Options) { o.BaseEndpoint = aws.String(url) }).
		ListTables(t.Context(), &sdk.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	return len(got.TableNames)
}

// TestExternal: a run at an endpoint has a table of its own, clients can be cut
// off, and the table is gone after it.
func TestExternal(t *testing.T) {
	url := endpoint(t)
	sys := attach(t, url, "external")
	before := tables(t, url)
	if err := sys.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := tables(t, url); n != before+1 {
		t.Errorf("%d tables, before there were %d", n, before)
	}
	c := open(t, sys)
	if err := c.Write(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	net := sys.Cluster().Net
	answers := cluster.Link{From: "endpoint", To: cluster.Clients}
	if err := net.Apply(t.Context(), cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{answers: cluster.Drop}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Write(ctx, 1, 2); err == nil || errors.Is(err, history.ErrNotApplied) {
		t.Errorf("a write whose answer was lost: %v, want unknown", err)
	}
	if _, err := sys.Open(ctx, "endpoint", 1); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("open while cut: %v", err)
	}
	if err := net.Apply(t.Context(), cluster.LinkState{}); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := open(t, sys).Read(t.Context(), 1); err != nil || !ok || v != 2 {
		t.Errorf("read %d, %t, %v; want 2, whose answer was lost", v, ok, err)
	}
	if err := sys.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := tables(t, url); n != before {
		t.Errorf("%d tables are left, before there were %d", n, before)
	}
}
