package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// schema makes the tables of all workloads, the last one last.
var schema = []string{
	"CREATE DATABASE IF NOT EXISTS capstan",
	"CREATE TABLE IF NOT EXISTS capstan.kv (k BIGINT PRIMARY KEY, v BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS capstan.elements (pk BIGINT AUTO_INCREMENT PRIMARY KEY, v BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS capstan.counters (id INT PRIMARY KEY, v BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS capstan.ids (id BIGINT AUTO_INCREMENT PRIMARY KEY)",
	"CREATE TABLE IF NOT EXISTS capstan.lists (pk BIGINT PRIMARY KEY, sk BIGINT NOT NULL, nk BIGINT NOT NULL, v LONGTEXT NOT NULL, INDEX (sk))",
	"CREATE TABLE IF NOT EXISTS capstan.list_rows (pk BIGINT, sk BIGINT NOT NULL, nk BIGINT NOT NULL, i INT, v BIGINT NOT NULL, PRIMARY KEY (pk, i), INDEX (sk))",
	"CREATE TABLE IF NOT EXISTS capstan.registers (pk BIGINT PRIMARY KEY, sk BIGINT NOT NULL, nk BIGINT NOT NULL, v BIGINT NOT NULL, INDEX (sk))",
	"CREATE TABLE IF NOT EXISTS capstan.items (pk BIGINT PRIMARY KEY, sk BIGINT NOT NULL, nk BIGINT NOT NULL, v BIGINT NOT NULL, iv BIGINT NOT NULL, INDEX (sk), INDEX (iv))",
	"CREATE TABLE IF NOT EXISTS capstan.accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS capstan.monotonic (k BIGINT PRIMARY KEY, v BIGINT NOT NULL)",
	"CREATE TABLE IF NOT EXISTS capstan.skew_a (id BIGINT PRIMARY KEY, k BIGINT NOT NULL, INDEX (k))",
	"CREATE TABLE IF NOT EXISTS capstan.skew_b (id BIGINT PRIMARY KEY, k BIGINT NOT NULL, INDEX (k))",
}

const countTables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'capstan'"

// Ready implements targets.System: every node answers, all replicas follow the
// primary and have what it had when it was asked, or all nodes of a Galera
// cluster are in it and synced; and the workloads' tables are everywhere. It
// makes the tables if there are none, lets replicas follow that do not, and
// makes a former primary one of them.
func (s *system) Ready(ctx context.Context) error {
	if s.Spec.Topology == galera {
		return s.Await(ctx, s.askGalera)
	}
	return s.Await(ctx, s.ask)
}

// ask is nil if the nodes are ready at this moment. The replicas are made to
// follow first: the primary may wait for one of them when it makes tables.
func (s *system) ask(ctx context.Context) error {
	primary := s.primary()
	replicas := slices.DeleteFunc(s.Members(), func(n string) bool { return n == primary })
	for _, n := range replicas {
		if err := s.enlist(ctx, n, primary); err != nil {
			return deploy.NotReady(n, err)
		}
	}
	position, err := s.askPrimary(ctx, primary)
	if err != nil {
		return deploy.NotReady(primary, err)
	}
	for _, n := range replicas {
		if err := s.askReplica(ctx, n, position); err != nil {
			return deploy.NotReady(n, err)
		}
	}
	return nil
}

// on runs f with a connection of its own to a node, for AskTimeout at most.
func (s *system) on(ctx context.Context, node string, f func(context.Context, *session) error) error {
	return s.onFor(ctx, deploy.AskTimeout, node, f)
}

// onFor is the same for another time.
func (s *system) onFor(ctx context.Context, d time.Duration, node string, f func(context.Context, *session) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	ses, err := s.dial(ctx, node, admin, "")
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, ses), ses.close())
}

// run makes statements without answers.
func (ses *session) run(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, _, err := ses.exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", first(sql), err)
		}
	}
	return nil
}

// first is the beginning of a statement, for messages.
func first(sql string) string {
	words := strings.Fields(sql)
	return strings.Join(words[:min(3, len(words))], " ")
}

func (s *system) askPrimary(ctx context.Context, node string) (position string, err error) {
	err = s.on(ctx, node, func(ctx context.Context, ses *session) error {
		row, err := ses.row(ctx, "SELECT VERSION(), @@read_only, ("+countTables+")")
		if err != nil {
			return err
		}
		s.SetVersion(s.server(), row[0])
		if row[1] != "0" {
			return errors.New("the primary is read-only")
		}
		if row[2] != strconv.Itoa(len(schema)-1) {
			if err := ses.run(ctx, schema...); err != nil {
				return err
			}
		}
		if s.Spec.Topology == single {
			return nil
		}
		row, err = ses.row(ctx, s.dialect.position)
		if err == nil {
			position = row[0]
		}
		return err
	})
	return position, err
}

// enlist looks whether a replica follows the primary, and makes it follow if it
// does not follow anybody, or another one. What a former primary has and nobody
// else is given up: it begins again with an empty disk.
func (s *system) enlist(ctx context.Context, node, primary string) error {
	var diverged error
	err := s.onFor(ctx, promoteTimeout, node, func(ctx context.Context, ses *session) error {
		if err := ses.run(ctx, "SET GLOBAL read_only = 1"); err != nil {
			return err
		}
		st, err := s.status(ctx, ses)
		switch {
		case err != nil:
			return err
		case st.of != primary:
			return s.follow(ctx, ses, primary)
		case st.broken() && s.moved():
			diverged = errors.New(st.why)
		case st.io == "No" || st.sql == "No": // nobody else starts it again
			return errors.Join(fmt.Errorf("it stopped: %s", st.why), s.follow(ctx, ses, primary))
		case st.io != "Yes" || st.sql != "Yes":
			return fmt.Errorf("it does not follow the primary: receiving %s, applying %s %s", st.io, st.sql, st.why)
		}
		return nil
	})
	if diverged != nil {
		return errors.Join(fmt.Errorf("has diverged, begins anew: %w", diverged), s.renew(ctx, node))
	}
	return err
}

// askReplica looks whether a replica has what the primary had.
func (s *system) askReplica(ctx context.Context, node, position string) error {
	return s.on(ctx, node, func(ctx context.Context, ses *session) error {
		row, err := ses.row(ctx, s.dialect.caughtUp(position, 0.5))
		switch {
		case err != nil:
			return err
		case row[0] != "0":
			return errors.New("replica is behind the primary")
		}
		row, err = ses.row(ctx, countTables)
		if err == nil && row[0] != strconv.Itoa(len(schema)-1) {
			err = errors.New("tables have not arrived")
		}
		return err
	})
}

// status is how a replica says that it follows.
type status struct {
	of, io, sql  string // whom it follows, and whether it receives and applies
	errno, sqlno string
	why          string
	// Where it is in the primary's log: received and applied.
	received, done [2]string
}

// applied: it has applied all that it received.
func (s status) applied() bool { return s.received == s.done }

// broken: it will not go on by itself. Error 1236 is what the primary says of a
// replica that has what the primary does not have.
func (s status) broken() bool { return s.errno == "1236" || s.sqlno != "0" && s.sqlno != "" }

func (s *system) status(ctx context.Context, ses *session) (status, error) {
	columns, rows, err := ses.query(ctx, s.dialect.status)
	if err != nil || len(rows) == 0 {
		return status{}, err
	}
	get := func(names ...string) string {
		for _, name := range names {
			if i := slices.Index(columns, name); i >= 0 {
				return rows[0][i]
			}
		}
		return ""
	}
	return status{
		of: get("Master_Host", "Source_Host"), io: get(s.dialect.io), sql: get(s.dialect.sql),
		errno: get("Last_IO_Errno"), sqlno: get("Last_SQL_Errno"), why: get("Last_IO_Error") + get("Last_SQL_Error"),
		received: [2]string{get("Master_Log_File", "Source_Log_File"), get("Read_Master_Log_Pos", "Read_Source_Log_Pos")},
		done:     [2]string{get("Relay_Master_Log_File", "Relay_Source_Log_File"), get("Exec_Master_Log_Pos", "Exec_Source_Log_Pos")},
	}, nil
}

// follow makes a node follow a primary.
func (s *system) follow(ctx context.Context, ses *session, primary string) error {
	return ses.run(ctx, append(slices.Clone(s.dialect.forget), s.dialect.follow(primary)...)...)
}

// primaries asks every node whether it takes writes. Nodes that do not answer
// are left out.
func (s *system) primaries(ctx context.Context) ([]string, error) {
	return s.Where(ctx, s.Members(), func(ctx context.Context, node string) bool {
		found := ""
		err := s.on(ctx, node, func(ctx context.Context, ses *session) error {
			row, err := ses.row(ctx, "SELECT @@read_only")
			if err == nil {
				found = row[0]
			}
			return err
		})
		return err == nil && found == "0"
	})
}

// now asks a node for its own time.
func (s *system) now(ctx context.Context, node string) (at time.Time, err error) {
	err = s.on(ctx, node, func(ctx context.Context, ses *session) error {
		row, err := ses.row(ctx, "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)")
		if err != nil {
			return err
		}
		micros, err := strconv.ParseInt(row[0], 10, 64)
		at = time.UnixMicro(micros)
		return err
	})
	return at, err
}
