package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/capstan-dev/capstan/targets"
)

// session is a connection of the driver, and the warnings that came over it.
type session struct {
	*pgconn.PgConn
	warnings []*pgconn.Notice
}

func (s *system) dial(ctx context.Context, node, name string) (*session, error) {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil, err
	}
	ses, err := dial(ctx, addr, name)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	return ses, nil
}

// dial connects to a node's published port, and to nothing else: no fallback,
// no TLS, no password, no settings from the environment.
func dial(ctx context.Context, addr, name string) (*session, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	config, err := pgconn.ParseConfig("sslmode=disable target_session_attrs=any")
	if err != nil {
		return nil, fmt.Errorf("configure connection: %w", err)
	}
	// Whatever PG* variables the environment has, they are not meant for us.
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("read port: %w", err)
	}
	config.Host, config.Port = host, uint16(n)
	config.User, config.Password, config.Database = "postgres", "", "postgres"
	config.Fallbacks, config.TLSConfig = nil, nil
	config.RuntimeParams = map[string]string{"application_name": name}
	s := &session{}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" || n.Severity == "WARNING" {
			s.warnings = append(s.warnings, n)
		}
	}
	if s.PgConn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return nil, err
	}
	return s, nil
}

// do makes one statement with text parameters in a single round trip.
func (s *session) do(ctx context.Context, sql string, args ...any) *pgconn.Result {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = fmt.Append(nil, a)
	}
	if s.IsClosed() { // the driver's error is that of a connection which breaks later, too
		return &pgconn.Result{Err: targets.ErrClosed}
	}
	s.warnings = nil
	return s.ExecParams(ctx, sql, values, nil, nil, nil).Read()
}

// query reads a statement's rows as text.
func (s *session) query(ctx context.Context, sql string, args ...any) ([][]string, error) {
	r := s.do(ctx, sql, args...)
	rows := make([][]string, len(r.Rows))
	for i, row := range r.Rows {
		for _, col := range row {
			rows[i] = append(rows[i], string(col))
		}
	}
	return rows, r.Err
}

// row reads a statement's only row.
func (s *session) row(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, err := s.query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("%d rows, want 1", len(rows))
	}
	return rows[0], nil
}

// change makes a statement that writes, and returns how many rows it changed.
func (s *session) change(ctx context.Context, sql string, args ...any) (int64, error) {
	r := s.do(ctx, sql, args...)
	if r.Err != nil {
		return 0, r.Err
	}
	return r.CommandTag.RowsAffected(), warned(s.warnings)
}

// exec makes several statements without parameters.
func (s *session) exec(ctx context.Context, sql string) ([]*pgconn.Result, error) {
	if s.IsClosed() {
		return nil, targets.ErrClosed
	}
	s.warnings = nil
	results, err := s.Exec(ctx, sql).ReadAll()
	return results, errors.Join(err, warned(s.warnings))
}

// warned is an error if the server warned while it wrote. A commit whose wait
// for the synchronous standbys was cancelled succeeds with a warning, though
// it is only on the primary.
func warned(warnings []*pgconn.Notice) error {
	var errs []error
	for _, w := range warnings {
		errs = append(errs, fmt.Errorf("the server warns: %s (%s) %s", w.Message, w.Code, w.Detail))
	}
	return errors.Join(errs...)
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil
	}
	return []string{"postgres://postgres@" + addr + "/postgres"}
}
