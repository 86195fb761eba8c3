package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
)

// classify marks the errors of a write that prove that it had no effect. All
// others leave it open: time-outs and cancellations, because the commit may
// have happened before; lost connections; and what the server says when it
// shuts down or breaks (classes 57, 58, XX).
func classify(err error) error {
	if err == nil || errors.Is(err, history.ErrNotApplied) || !provesNoEffect(err) {
		return err
	}
	return targets.NotApplied(err)
}

func provesNoEffect(err error) bool {
	if errors.Is(err, pgconn.ErrConnClosed) {
		return false // the driver says so, too, when the connection breaks while it waits for an answer
	}
	if pgconn.SafeToRetry(err) {
		return true // nothing was sent
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	if pg.Code == "57P03" { // cannot connect now: said instead of letting anyone in
		return true
	}
	if pg.SeverityUnlocalized != "ERROR" && pg.Severity != "ERROR" {
		return false // FATAL and PANIC end the connection, whenever that is
	}
	return rolledBack(pg.Code)
}

// rolledBack says whether this SQLSTATE comes before a transaction's commit
// only.
func rolledBack(code string) bool {
	switch code {
	case "40003": // statement completion unknown
		return false
	case "25006": // read-only transaction: a standby
		return true
	case "0A000": // feature not supported, e.g. serializable on a standby
		return true
	case "55P03": // lock not available
		return true
	}
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "22", // data exception
		"23", // integrity constraint violation
		"25", // invalid transaction state
		"26", // invalid statement name
		"40", // transaction rollback: serialization failure, deadlock
		"42", // syntax error or access rule violation
		"53": // insufficient resources
		return true
	}
	return false
}
