package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"

	"github.com/capstan-dev/capstan/targets"
)

// The users: one for the processes, whom a replica refuses to write, and one
// that may do everything.
const (
	app   = "app"
	admin = "capstan"
)

const database = "capstan"

// session is one connection of the driver, without the pool of database/sql,
// which would dial anew and try again. After an error that is not an answer of
// the server it is of no use any more.
type session struct {
	conn   driver.Conn
	closed atomic.Bool
}

// dial connects to a node, and to no other.
func (s *system) dial(ctx context.Context, node, user, db string) (*session, error) {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil, err
	}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = user, "tcp", addr, db
	config.InterpolateParams = true // one round trip a statement
	config.ClientFoundRows = true   // rows that an update matched, not those that it changed
	config.Logger = log.New(io.Discard, "", 0)
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("configure connection: %w", err)
	}
	c, err := connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	return &session{conn: c}, nil
}

// close ends the connection.
func (s *session) close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.conn.Close()
}

// check closes the connection after an error, unless the server itself gave it:
// what came in between is not known then.
func (s *session) check(err error) error {
	var answer *mysql.MySQLError
	if err != nil && !errors.As(err, &answer) {
		_ = s.close() // the error that matters is the first one
	}
	return err
}

// exec makes a statement; found is how many rows it found to change.
func (s *session) exec(ctx context.Context, sql string, args ...any) (found, id int64, err error) {
	if s.closed.Load() {
		return 0, 0, targets.ErrClosed
	}
	r, err := s.conn.(driver.ExecerContext).ExecContext(ctx, sql, named(args))
	if err != nil {
		return 0, 0, s.check(err)
	}
	found, _ = r.RowsAffected() // the driver has both from the server's answer
	id, _ = r.LastInsertId()
	return found, id, nil
}

// query reads all rows of a statement as text; NULL is empty.
func (s *session) query(ctx context.Context, sql string, args ...any) (columns []string, rows [][]string, err error) {
	if s.closed.Load() {
		return nil, nil, targets.ErrClosed
	}
	r, err := s.conn.(driver.QueryerContext).QueryContext(ctx, sql, named(args))
	if err != nil {
		return nil, nil, s.check(err)
	}
	defer r.Close()
	dest := make([]driver.Value, len(r.Columns()))
	for {
		err := r.Next(dest)
		if errors.Is(err, io.EOF) {
			return r.Columns(), rows, nil
		}
		if err != nil {
			return nil, nil, s.check(err)
		}
		row := make([]string, len(dest))
		for i, v := range dest {
			row[i] = text(v)
		}
		rows = append(rows, row)
	}
}

// row reads a statement's only row.
func (s *session) row(ctx context.Context, sql string, args ...any) ([]string, error) {
	_, rows, err := s.query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("%d rows, want 1", len(rows))
	}
	return rows[0], nil
}

// rows reads a query's rows as text; $1 is its first argument.
func (s *session) rows(ctx context.Context, sql string, args ...any) ([][]string, error) {
	sql, args = marked(sql, args)
	_, rows, err := s.query(ctx, sql, args...)
	return rows, err
}

// change makes a statement that writes, and returns how many rows it found; $1
// is its first argument.
func (s *session) change(ctx context.Context, sql string, args ...any) (int64, error) {
	sql, args = marked(sql, args)
	found, _, err := s.exec(ctx, sql, args...)
	return found, err
}

// marked puts question marks in place of $1, $2 and so on, as the driver wants
// them, and the arguments in their order.
func marked(sql string, args []any) (string, []any) {
	parts := strings.Split(sql, "$")
	var ordered []any
	for i, p := range parts[1:] {
		ordered = append(ordered, args[p[0]-'1'])
		parts[i+1] = p[1:]
	}
	return strings.Join(parts, "?"), ordered
}

func text(v driver.Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

func named(args []any) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		if n, ok := a.(int); ok {
			a = int64(n)
		}
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return values
}

// numbers reads a column of integers.
func numbers(rows [][]string, column int) ([]int, error) {
	all := make([]int, 0, len(rows))
	for _, row := range rows {
		n, err := strconv.Atoi(row[column])
		if err != nil {
			return nil, fmt.Errorf("read number: %w", err)
		}
		all = append(all, n)
	}
	return all, nil
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil
	}
	return []string{"mysql://" + admin + "@" + addr + "/" + database}
}
