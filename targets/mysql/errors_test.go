package mysql_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	driverpkg "github.com/go-sql-driver/mysql"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/mysql"
)

func TestClassify(t *testing.T) {
	server := func(number uint16) error {
		return fmt.Errorf("run: %w", &driverpkg.MySQLError{Number: number, Message: "said the server"})
	}
	for _, c := range []struct {
		what              string
		err               error
		statement, commit bool // proves that there was no effect
	}{
		{"deadlock, or a conflict in Galera", server(1213), true, true},
		{"lock wait timeout", server(1205), true, false},
		{"record has changed since it was read", server(1020), true, false},
		{"duplicate key", server(1062), true, false},
		{"out of range", server(1264), true, false},
		{"--read-only", server(1290), true, true},
		{"read only mode", server(1836), true, true},
		{"Galera: not prepared", server(1047), true, true},
		{"too many connections", server(1040), true, true},
		{"syntax", server(1064), true, true},
		{"no such table", server(1146), true, true},

		{"error during commit", server(1180), false, false},
		{"query interrupted", server(1317), false, false},
		{"statement timeout", server(1969), false, false},
		{"connection was killed", server(1927), false, false},
		{"server shutdown", server(1053), false, false},
		{"disk full", server(1021), false, false},
		{"engine error", server(1030), false, false},
		{"unknown error", server(1105), false, false},
		{"error on write", server(1026), false, false},
		{"safe to retry, says the driver", driver.ErrBadConn, false, false},
		{"connection lost", driverpkg.ErrInvalidConn, false, false},
		{"packets out of order", driverpkg.ErrPktSync, false, false},
		{"end of the stream", io.EOF, false, false},
		{"timeout", context.DeadlineExceeded, false, false},
		{"known before", fmt.Errorf("x: %w", history.ErrNotApplied), true, true},
	} {
		for name, got := range map[string]error{"statement": mysql.Classify(c.err), "commit": mysql.ClassifyCommit(c.err)} {
			want := map[string]bool{"statement": c.statement, "commit": c.commit}[name]
			if errors.Is(got, history.ErrNotApplied) != want {
				t.Errorf("%s at a %s: %v; proves no effect: want %t", c.what, name, got, want)
			}
			if !errors.Is(got, c.err) {
				t.Errorf("%s: the cause is lost: %v", c.what, got)
			}
		}
	}
	if mysql.Classify(nil) != nil || mysql.ClassifyCommit(nil) != nil {
		t.Error("no error is one")
	}
}
