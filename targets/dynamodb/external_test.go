package dynamodb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/dynamodb"
)

// endpoint starts DynamoDB Local and returns its URL.
func endpoint(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	sys := conform.Boot(ctx, t, dynamodb.Target{}, conform.Request(t, dynamodb.Target{}, "local"))
	conform.Must(t, sys.Ready(ctx))
	return sys.(targets.Endpoints).Endpoints("n1")[0]
}

func tables(t *testing.T, url string) int {
	t.Helper()
	settings, err := config.LoadDefaultConfig(t.Context())
	conform.Must(t, err)
	got, err := sdk.NewFromConfig(settings, func(o *sdk.Options) { o.BaseEndpoint = aws.String(url) }).
		ListTables(t.Context(), &sdk.ListTablesInput{})
	conform.Must(t, err)
	return len(got.TableNames)
}

// TestExternal: a run at an endpoint has a table of its own, clients can be cut
// off, and the table is gone after it.
func TestExternal(t *testing.T) {
	url := endpoint(t)
	sys := attach(t, url, "external")
	before := tables(t, url)
	conform.Must(t, sys.Ready(t.Context()))
	if n := tables(t, url); n != before+1 {
		t.Errorf("%d tables, before there were %d", n, before)
	}
	c := open(t, sys)
	conform.Must(t, c.Write(t.Context(), 1, 1))
	net := sys.Cluster().Net
	answers := cluster.Link{From: "endpoint", To: cluster.Clients}
	conform.Must(t, net.Apply(t.Context(), cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{answers: cluster.Drop}}))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Write(ctx, 1, 2); err == nil || errors.Is(err, history.ErrNotApplied) {
		t.Errorf("a write whose answer was lost: %v, want unknown", err)
	}
	if _, err := sys.Open(ctx, "endpoint", 1); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("open while cut: %v", err)
	}
	conform.Heal(t, sys)
	if v, ok, err := open(t, sys).Read(t.Context(), 1); err != nil || !ok || v != 2 {
		t.Errorf("read %d, %t, %v; want 2, whose answer was lost", v, ok, err)
	}
	conform.Must(t, sys.Close(t.Context()))
	if n := tables(t, url); n != before {
		t.Errorf("%d tables are left, before there were %d", n, before)
	}
}
