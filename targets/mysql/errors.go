package mysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
)

// classify marks the errors of a statement that commits by itself which prove
// that it had no effect: answers of the server that come before a commit only.
// Lost connections and time-outs leave it open, as does all that the server
// says when it shuts down, or when somebody ends the statement: the commit may
// be waiting for a replica then. The driver calls some errors safe to be tried
// again (driver.ErrBadConn); here they count as open.
func classify(err error) error {
	if err == nil || errors.Is(err, history.ErrNotApplied) {
		return err
	}
	var e *mysql.MySQLError
	if errors.As(err, &e) && (refused(e.Number) || rolledBack(e.Number)) {
		return targets.NotApplied(err)
	}
	return err
}

// classifyCommit is the same for COMMIT. Only what refuses the statement as
// such, and a conflict that Galera found, prove that nothing was committed.
func classifyCommit(err error) error {
	var e *mysql.MySQLError
	if errors.As(err, &e) && (refused(e.Number) || e.Number == erLockDeadlock) {
		return targets.NotApplied(err)
	}
	return err
}

// Errors of the server, by their names in its documentation.
const (
	erConCount             = 1040
	erDBAccessDenied       = 1044
	erAccessDenied         = 1045
	erNoDB                 = 1046
	erUnknownCom           = 1047 // Galera: the node is not prepared for use
	erBadNull              = 1048
	erBadDB                = 1049
	erBadField             = 1054
	erDupEntry             = 1062
	erParse                = 1064
	erNoSuchTable          = 1146
	erTooManyUsers         = 1203
	erLockWaitTimeout      = 1205
	erLockDeadlock         = 1213
	erOptionPreventsStmt   = 1290 // the server runs with --read-only
	erTruncatedWrongValue  = 1292
	erDataTooLong          = 1406
	erDataOutOfRange       = 1690
	erReadOnlyTransaction  = 1792
	erReadOnlyMode         = 1836
	erCheckread            = 1020 // the record has changed since it was read
	erTableaccessDenied    = 1142
	erDupEntryWithKeyName  = 1586
	erSubqueryNotOneRow    = 1242
	erWarnDataOutOfRange   = 1264
	erUserLimitReached     = 1226
	erHostNotPrivileged    = 1130
	erHandshake            = 1043
	erSecureTransportNeeds = 3159
)

// refused is said instead of executing a statement.
func refused(number uint16) bool {
	switch number {
	case erConCount, erTooManyUsers, erUserLimitReached, erHostNotPrivileged, erHandshake, erSecureTransportNeeds,
		erDBAccessDenied, erAccessDenied, erTableaccessDenied,
		erUnknownCom, erNoDB, erBadDB, erBadField, erNoSuchTable, erParse,
		erOptionPreventsStmt, erReadOnlyTransaction, erReadOnlyMode:
		return true
	}
	return false
}

// rolledBack is said when a statement was undone. After some of these the
// transaction goes on, and it is for its client to end it.
func rolledBack(number uint16) bool {
	switch number {
	case erLockDeadlock, erLockWaitTimeout, erCheckread, erDupEntry, erDupEntryWithKeyName,
		erBadNull, erTruncatedWrongValue, erDataTooLong, erDataOutOfRange, erWarnDataOutOfRange, erSubqueryNotOneRow:
		return true
	}
	return false
}
