package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/harness"
	"github.com/capstan-dev/capstan/nemesis"
)

const (
	injectTimeout = time.Minute
	healTimeout   = time.Minute
	lookTimeout   = 5 * time.Second
)

// Server keeps a cluster. Its fields are set before Serve.
type Server struct {
	// Name is what commands call the cluster, Target what runs on it.
	Name, Target string
	Cluster      *cluster.Cluster
	// Parse reads the text of a fault, and the time after which it heals; 0 if
	// it has none.
	Parse func(text string) (nemesis.Fault, time.Duration, error)
	// Endpoints are where clients reach a node.
	Endpoints func(node string) []string
	// Log hears what happens to faults, in words.
	Log func(format string, args ...any)
	// Down takes the cluster down.
	Down func(context.Context) error

	nemesis *nemesis.Nemesis
	since   time.Time
	ctx     context.Context // of the server's life

	mu     sync.Mutex
	faults []*Fault
}

// Listen reserves the name for this process, before a cluster is made under
// it.
func Listen(ctx context.Context, name string) (net.Listener, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir(), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for sockets: %w", err)
	}
	up, err := All(ctx) // removes what dead processes left
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(up, func(c *Client) bool { return c.Name == name }) {
		return nil, fmt.Errorf("cluster %s is up already; take it down with `capstan down %s`, or give another --name", name, name)
	}
	l, err := net.Listen("unix", socket(name))
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	return l, nil
}

// Serve answers commands until the context ends or one of them takes the
// cluster down; then it heals all and calls Down. A failed Down can be tried
// again by `capstan clean`.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.since = time.Now()
	s.nemesis = harness.NewNemesis(s.Cluster, uint64(s.since.UnixNano()))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.ctx = ctx
	var downErr error
	isDown := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", answer(func(*http.Request) (any, error) { return struct{}{}, nil }))
	mux.HandleFunc("GET /status", answer(s.status))
	mux.HandleFunc("POST /faults", answer(s.add))
	mux.HandleFunc("DELETE /faults/{id}", answer(s.heal))
	mux.HandleFunc("DELETE /faults", answer(s.healAll))
	mux.HandleFunc("POST /down", answer(func(*http.Request) (any, error) {
		cancel()
		<-isDown
		return struct{}{}, downErr
	}))
	srv := &http.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served: // nobody can give commands any more
	}
	downErr = s.takeDown(ctx)
	close(isDown)
	last, done := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer done()
	return errors.Join(err, downErr, srv.Shutdown(last))
}

func (s *Server) takeDown(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	heal, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	// What does not heal is removed with the cluster, or told by Down.
	if err := s.nemesis.HealAll(heal); err != nil {
		s.Log("heal: %v", err)
	}
	return s.Down(ctx)
}

// answer makes a handler of a function that returns what to encode.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		if err != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			v = failure{err.Error()}
		}
		_ = json.NewEncoder(w).Encode(v) // an error is that the client is gone
	}
}

func (s *Server) status(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), lookTimeout)
	defer cancel()
	st := Status{Name: s.Name, Target: s.Target, PID: os.Getpid(), Since: s.since}
	var primaries []string
	if s.Cluster.Primaries != nil {
		primaries, _ = s.Cluster.Primaries(ctx) // none is shown if nobody answers
	}
	for _, n := range s.Cluster.Nodes {
		node := Node{Name: n, Role: s.Cluster.Roles[n], Primary: slices.Contains(primaries, n), Endpoints: s.Endpoints(n)}
		if s.Cluster.Procs != nil {
			state, err := s.Cluster.Procs.State(ctx, n)
			node.State = string(state)
			if err != nil {
				node.State = err.Error()
			}
		}
		st.Nodes = append(st.Nodes, node)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		st.Faults = append(st.Faults, *f)
	}
	return st, nil
}

// add brings a fault into force. It goes on if the client goes away: what is
// half in would be worse.
func (s *Server) add(r *http.Request) (any, error) {
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	f, length, err := s.Parse(req.Fault)
	if err != nil {
		return nil, err
	}
	if err := f.Applicable(s.Cluster); err != nil {
		return nil, fmt.Errorf("fault %s is not applicable: %w", f.Name(), err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, injectTimeout)
	defer cancel()
	detail, err := s.nemesis.Start(ctx, s.nemesis.Number(), f)
	fault := Fault{FaultDetail: detail, Since: time.Now()}
	if err != nil {
		fault.Err = err.Error()
	}
	if length > 0 {
		fault.Until = fault.Since.Add(length)
		time.AfterFunc(length, func() {
			if _, err := s.healOne(detail.ID); err != nil {
				s.Log("heal fault %d: %v", detail.ID, err)
			}
		})
	}
	s.mu.Lock()
	s.faults = append(s.faults, &fault)
	s.mu.Unlock()
	s.Log("fault %d %s: %s", detail.ID, detail.Fault, outcome(fault, "in force"))
	return fault, nil
}

// outcome says in words how a start or a heal went.
func outcome(f Fault, good string) string {
	switch {
	case f.Err != "":
		return "error: " + f.Err
	case f.Proven:
		return good + ": " + f.Proof
	}
	return "not proven: " + f.Proof
}

func (s *Server) heal(r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, fmt.Errorf("fault %q: want a number as `capstan fault ls` shows it", r.PathValue("id"))
	}
	return s.healOne(id)
}

// healOne heals a fault. One that could not be healed stays in the list.
func (s *Server) healOne(id int) (Fault, error) {
	f, err := s.find(id)
	if err != nil {
		return Fault{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), healTimeout)
	defer cancel()
	detail, err := s.nemesis.Heal(ctx, id)
	healed := Fault{FaultDetail: detail, Since: f.Since, Until: time.Now()}
	if err != nil {
		healed.Err = err.Error()
	}
	s.Log("fault %d %s: %s", id, detail.Fault, outcome(healed, "healed"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || !detail.Proven {
		f.Err = "heal: " + outcome(healed, "")
		return healed, nil
	}
	s.faults = slices.DeleteFunc(s.faults, func(g *Fault) bool { return g == f })
	return healed, nil
}

func (s *Server) find(id int) (*Fault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.ID == id {
			return f, nil
		}
	}
	return nil, fmt.Errorf("no fault %d is in force", id)
}

func (s *Server) healAll(*http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), healTimeout)
	defer cancel()
	if err := s.nemesis.HealAll(ctx); errors.Is(err, cluster.ErrLapsed) {
		s.Log("%v", err)
	} else if err != nil {
		return nil, err
	}
	s.mu.Lock()
	n := len(s.faults)
	s.faults = nil
	s.mu.Unlock()
	s.Log("healed all, %d faults", n)
	return struct{}{}, nil
}
