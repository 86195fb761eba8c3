package dynamodb_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/dynamodb"
)

// server answers as DynamoDB would that has every table and no item, until it
// is told to answer in another way. It counts what it was asked.
type server struct {
	*httptest.Server
	asked, conns atomic.Int64
	answer       atomic.Pointer[func(http.ResponseWriter, *http.Request)]
}

func serve(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		if f := s.answer.Load(); f != nil {
			(*f)(w, r)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			s.conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Server.Close)
	return s
}

func (s *server) then(f func(http.ResponseWriter, *http.Request)) { s.answer.Store(&f) }

// attach starts the external topology on an endpoint.
func attach(t *testing.T, endpoint, id string) targets.System {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "capstan")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "capstan")
	t.Setenv("AWS_REGION", "eu-central-1")
	sys, err := dynamodb.Target{}.Start(t.Context(), targets.Spec{
		Topology: "external", Nodes: 1, Endpoint: endpoint, RunID: id,
		Levels: map[string]string{"read": "strong", "set": "items", "fencing": "on"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sys
}

func open(t *testing.T, sys targets.System) *dynamodb.Conn {
	t.Helper()
	return conform.Open[*dynamodb.Conn](t, sys, "endpoint", 10*time.Second)
}

// TestOneAttempt: whatever goes wrong, a request is sent once, over the one
// connection, and after a connection broke nothing is sent any more.
func TestOneAttempt(t *testing.T) {
	drop := func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	}
	for _, tt := range []struct {
		name     string
		answer   func(http.ResponseWriter, *http.Request)
		definite bool
		closed   bool
	}{
		{"connection lost", drop, false, true},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false, true},
		{"internal error", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		}, false, false},
		{"unavailable", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}, false, false},
		{"throttled", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}`)
		}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t)
			c := open(t, attach(t, s.URL, "one-attempt"))
			s.then(tt.answer)
			asked, conns := s.asked.Load(), s.conns.Load()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			began := time.Now()
			err := c.Write(ctx, 1, 2)
			if err == nil || errors.Is(err, history.ErrNotApplied) != tt.definite {
				t.Errorf("got %v, want definite %t", err, tt.definite)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
			if c.Closed() != tt.closed {
				t.Errorf("closed %t, want %t", c.Closed(), tt.closed)
			}
			if tt.closed {
				if err := c.Write(t.Context(), 1, 3); !errors.Is(err, history.ErrNotApplied) {
					t.Errorf("on a closed connection: %v", err)
				}
			}
			if n, m := s.asked.Load()-asked, s.conns.Load()-conns; n != 1 || m != 0 {
				t.Errorf("%d requests over %d further connections, want 1 and 0", n, m)
			}
		})
	}
}

// TestOpenAsks: a connection on which nobody answers is none.
func TestOpenAsks(t *testing.T) {
	s := serve(t)
	sys := attach(t, s.URL, "open-asks")
	s.then(func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	})
	if _, err := sys.Open(t.Context(), "endpoint", 0); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("open: %v, want a certain failure", err)
	}
}

// TestNoCredentials: where there are none, others than AWS are asked all the
// same, and AWS is not.
func TestNoCredentials(t *testing.T) {
	s := serve(t)
	sys := attach(t, s.URL, "no-credentials")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nowhere")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
	spec := targets.Spec{Topology: "external", Nodes: 1, Endpoint: s.URL, RunID: "x"}
	if _, err := (dynamodb.Target{}).Start(t.Context(), spec); err != nil {
		t.Errorf("start: %v", err)
	}
	spec.Endpoint = "https://dynamodb.eu-central-1.amazonaws.com"
	if _, err := (dynamodb.Target{}).Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "find AWS credentials") {
		t.Errorf("start at AWS: %v", err)
	}
	open(t, sys)
}

func TestNoEndpoint(t *testing.T) {
	_, err := dynamodb.Target{}.Start(t.Context(), targets.Spec{Topology: "external", Nodes: 1})
	if err == nil || !strings.Contains(err.Error(), "no endpoint given") {
		t.Errorf("without an endpoint: %v", err)
	}
}
