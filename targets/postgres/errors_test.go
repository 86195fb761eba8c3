package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/postgres"
)

func TestClassify(t *testing.T) {
	state := func(severity, code string) error {
		return fmt.Errorf("wrapped: %w", &pgconn.PgError{Severity: severity, SeverityUnlocalized: severity, Code: code})
	}
	for _, tt := range []struct {
		name     string
		err      error
		definite bool
	}{
		{"serialization failure", state("ERROR", "40001"), true},
		{"deadlock", state("ERROR", "40P01"), true},
		{"statement completion unknown", state("ERROR", "40003"), false},
		{"read-only transaction", state("ERROR", "25006"), true},
		{"serializable on a standby", state("ERROR", "0A000"), true},
		{"undefined table", state("ERROR", "42P01"), true},
		{"unique violation", state("ERROR", "23505"), true},
		{"number out of range", state("ERROR", "22003"), true},
		{"disk full", state("ERROR", "53100"), true},
		{"disk full while it commits", state("PANIC", "53100"), false},
		{"lock not available", state("ERROR", "55P03"), true},
		{"server starts up", state("FATAL", "57P03"), true},
		{"query cancelled", state("ERROR", "57014"), false},
		{"shut down by the administrator", state("FATAL", "57P01"), false},
		{"crash shutdown", state("WARNING", "57P02"), false},
		{"idle session timeout", state("FATAL", "25P03"), false},
		{"input/output error", state("ERROR", "58030"), false},
		{"internal error", state("ERROR", "XX000"), false},
		{"recovery conflict", state("FATAL", "40001"), false},
		{"no code", state("ERROR", ""), false},
		{"connection lost", io.ErrUnexpectedEOF, false},
		{"deadline", fmt.Errorf("timeout: %w", context.DeadlineExceeded), false},
		{"network timeout", os.ErrDeadlineExceeded, false},
		{"connect", fmt.Errorf("x: %w", &pgconn.ConnectError{}), true},
		{"warning", errors.New("the server warns"), false},
		{"connection that broke while it waited", fmt.Errorf("commit: %w", pgconn.ErrConnClosed), false},
	} {
		got := postgres.Classify(tt.err)
		if errors.Is(got, history.ErrNotApplied) != tt.definite || !errors.Is(got, tt.err) {
			t.Errorf("%s: %v, want definite %t", tt.name, got, tt.definite)
		}
	}
	if err := postgres.Classify(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}
