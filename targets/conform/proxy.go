package conform

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
)

// A way is what a proxy does to a connection when its time has come.
type way string

const (
	// mute passes requests on and swallows the answers.
	mute way = "mute"
	// snap closes the client's side, after the request went on.
	snap way = "snap"
)

// proxies stand between a system's clients and its nodes.
type proxies struct {
	t  *testing.T
	mu sync.Mutex
	by map[string]*proxy // by the address behind
}

func newProxies(t *testing.T) *proxies {
	p := &proxies{t: t, by: map[string]*proxy{}}
	t.Cleanup(p.close)
	return p
}

// route implements targets.Spec.Route.
func (ps *proxies) route(_, addr string) (string, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.by[addr]; p != nil {
		return p.addr(), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for %s: %w", addr, err)
	}
	p := &proxy{l: l, behind: addr}
	ps.by[addr] = p
	go p.serve()
	return p.addr(), nil
}

// sessions are the connections through all proxies that are open now.
func (ps *proxies) sessions() map[*session]bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	all := map[*session]bool{}
	for _, p := range ps.by {
		p.mu.Lock()
		for _, s := range p.open {
			if !s.over() {
				all[s] = true
			}
		}
		p.mu.Unlock()
	}
	return all
}

func (ps *proxies) close() {
	for s := range ps.sessions() {
		s.end()
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.by {
		if err := p.l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			ps.t.Errorf("close proxy: %v", err)
		}
	}
}

type proxy struct {
	l      net.Listener
	behind string
	mu     sync.Mutex
	open   []*session
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) serve() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.behind)
		if err != nil {
			// What a node that is down looks like.
			_ = client.(*net.TCPConn).SetLinger(0)
			client.Close()
			continue
		}
		s := &session{client: client, server: server, ended: make(chan struct{})}
		p.mu.Lock()
		p.open = append(p.open, s)
		p.mu.Unlock()
		go s.requests()
		go s.answers()
	}
}

// session is one connection through a proxy. Its answers are counted by turns:
// what the server sends until the client sends again is one answer.
type session struct {
	client, server net.Conn
	once           sync.Once
	ended          chan struct{}

	mu       sync.Mutex
	turn     bool // the client spoke last
	armed    way
	left     int // answers that still pass
	swallows bool
}

// arm lets so many answers pass, and then has its way.
func (s *session) arm(w way, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.left = w, after
}

func (s *session) requests() {
	defer s.end()
	buf := make([]byte, 64<<10)
	for {
		n, err := s.client.Read(buf)
		if n > 0 {
			s.mu.Lock()
			s.turn = true
			s.mu.Unlock()
			if _, err := s.server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *session) answers() {
	defer s.end()
	buf := make([]byte, 64<<10)
	for {
		n, err := s.server.Read(buf)
		if n > 0 {
			switch s.fate() {
			case snap:
				_ = s.client.(*net.TCPConn).SetLinger(0)
				return
			case mute:
			default:
				if _, err := s.client.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// fate says what to do with a piece of an answer.
func (s *session) fate() way {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.turn
	s.turn = false
	if s.armed == "" {
		return ""
	}
	if fresh && !s.swallows {
		s.swallows = s.left == 0
		s.left--
	}
	if s.swallows {
		return s.armed
	}
	return ""
}

func (s *session) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *session) end() {
	s.once.Do(func() {
		close(s.ended)
		s.client.Close()
		s.server.Close()
	})
}
