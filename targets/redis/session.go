package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/targets"
)

// session is one connection to one node. The driver has pools and cluster
// clients; this is its bare connection, which is never dialled anew and sends
// nothing by itself.
type session struct{ conn redis.Conn }

// command is one command and its arguments.
type command []any

func (c command) name() string { return c[0].(string) }

// reply is a server's answer to one command: a value, or an error.
type reply struct {
	value any
	err   error
}

func (s *system) dial(ctx context.Context, node string) (*session, error) {
	addr, err := s.Addr(node, s.port(node))
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	ses := &session{redis.NewConn(conn, 0, 0)}
	// A port that is published accepts connections for a server that is dead.
	if _, err := ses.do(ctx, command{"PING"}); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", node, err), ses.close())
	}
	return ses, nil
}

// closed is true once the connection is of no use: it broke, or a reply did not
// come in time, and nobody could tell it from the next one.
func (s *session) closed() bool { return s.conn.Err() != nil }

func (s *session) close() error { return s.conn.Close() }

// run sends commands at once and reads their replies. The error is that of the
// connection.
func (s *session) run(ctx context.Context, commands ...command) ([]reply, error) {
	if s.closed() {
		return nil, targets.ErrClosed
	}
	for _, c := range commands {
		if err := s.conn.Send(c.name(), c[1:]...); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
	}
	if err := s.conn.Flush(); err != nil {
		return nil, fmt.Errorf("%s: %w", commands[0].name(), err)
	}
	replies := make([]reply, len(commands))
	for i, c := range commands {
		v, err := redis.ReceiveContext(s.conn, ctx)
		if answered := redis.Error(""); err != nil && !errors.As(err, &answered) {
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
		if err != nil {
			err = classify(fmt.Errorf("%s: %w", c.name(), err))
		}
		replies[i] = reply{v, err}
	}
	return replies, nil
}

// do sends one command.
func (s *session) do(ctx context.Context, c command) (any, error) {
	replies, err := s.run(ctx, c)
	if err != nil {
		return nil, err
	}
	return replies[0].value, replies[0].err
}

// ask sends one command to a node over a connection of its own.
func (s *system) ask(ctx context.Context, node string, c command) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ses, err := s.dial(ctx, node)
	if err != nil {
		return nil, err
	}
	defer ses.close()
	return ses.do(ctx, c)
}

const askTimeout = 2 * time.Second
