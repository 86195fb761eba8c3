package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// session is a session of the driver with one node: a connection for requests,
// and beside it one of the driver's own, which carries nothing of ours. When
// either breaks the session is of no use any more.
type session struct {
	*gocql.Session
	line *line
}

// line dials for the driver: one address whatever it asks for, and not again
// once the session is made.
type line struct {
	addr string
	ctx  context.Context // of the opening

	mu     sync.Mutex
	conns  []net.Conn
	closed bool // to new connections

	broken atomic.Bool
}

var errNoRedial = errors.New("the connection is not dialled again")

// DialContext implements gocql.Dialer.
func (l *line) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errNoRedial
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		l.closed = true // the driver would try again
		return nil, err
	}
	l.conns = append(l.conns, c)
	return &strand{c, l}, nil
}

// settle refuses further connections.
func (l *line) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// cut closes all connections and refuses further ones.
func (l *line) cut() {
	l.broken.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.conns {
		c.Close()
	}
}

// strand is a connection of a line. It notices its end.
type strand struct {
	net.Conn
	line *line
}

func (s *strand) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil && !isTimeout(err) {
		s.line.broken.Store(true)
	}
	return n, err
}

func (s *strand) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if err != nil {
		s.line.broken.Store(true)
	}
	return n, err
}

func (s *strand) Close() error {
	s.line.broken.Store(true)
	return s.Conn.Close()
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// dial makes a session with a node. The driver's discovery of other nodes, its
// events, retries, speculative requests and reconnections are off.
func (s *system) dial(ctx context.Context, node string) (*session, error) {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil, err
	}
	l := &line{addr: addr, ctx: ctx}
	config := gocql.NewCluster(addr)
	config.Dialer = l
	config.ProtoVersion = 5
	config.NumConns = 1
	config.Timeout, config.WriteTimeout = 0, 0 // contexts say how long
	config.ConnectTimeout = remaining(ctx)
	config.Consistency, config.SerialConsistency = gocql.Quorum, gocql.Serial
	config.DefaultTimestamp = s.Spec.Levels[levelTimestamps] != "server"
	config.PageSize = 1 << 20 // a read is one request
	config.WriteCoalesceWaitTime = 0
	config.RetryPolicy = nil
	config.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1}
	config.ReconnectInterval = 0
	config.DisableInitialHostLookup, config.IgnorePeerAddr = true, true
	config.Events.DisableNodeStatusEvents, config.Events.DisableTopologyEvents, config.Events.DisableSchemaEvents = true, true, true
	config.Metadata.CacheMode = gocql.Disabled
	config.MaxWaitSchemaAgreement = time.Millisecond // readiness asks all nodes itself
	defer context.AfterFunc(ctx, l.cut)()
	made, err := config.CreateSession()
	l.settle()
	if err == nil && ctx.Err() != nil {
		made.Close()
		err = ctx.Err()
	}
	if err != nil {
		l.cut()
		return nil, fmt.Errorf("connect to %s: %w", node, errors.Join(err, ctx.Err()))
	}
	return &session{made, l}, nil
}

// remaining is how long a context still lasts.
func remaining(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Millisecond, time.Until(end))
	}
	return 10 * time.Second
}

// Closed is true once the session is of no use any more.
func (s *session) Closed() bool { return s.line.broken.Load() }

// Close ends it without waiting for requests in flight.
func (s *session) Close() {
	s.line.cut()
	s.Session.Close()
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil
	}
	return []string{"cql://" + addr + "/" + keyspace}
}
