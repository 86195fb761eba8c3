package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/cassandra"
)

// said is an error that a node answers.
type said int

func (s said) Code() int       { return int(s) }
func (s said) Message() string { return "a message" }
func (s said) Error() string   { return fmt.Sprintf("error %#x", int(s)) }

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		name       string
		err        error
		plain, lwt bool // definite
	}{
		{"unavailable", said(gocql.ErrCodeUnavailable), true, false},
		{"bootstrapping", said(gocql.ErrCodeBootstrapping), true, false},
		{"overloaded", said(gocql.ErrCodeOverloaded), false, false},
		{"write timeout", said(gocql.ErrCodeWriteTimeout), false, false},
		{"write failure", said(gocql.ErrCodeWriteFailure), false, false},
		{"read timeout", said(gocql.ErrCodeReadTimeout), false, false},
		{"read failure", said(gocql.ErrCodeReadFailure), false, false},
		{"outcome of a lightweight transaction unknown", said(gocql.ErrCodeCASWriteUnknown), false, false},
		{"change data capture", said(gocql.ErrCodeCDCWriteFailure), false, false},
		{"truncation", said(gocql.ErrCodeTruncate), false, false},
		{"server error", said(gocql.ErrCodeServer), false, false},
		{"protocol error", said(gocql.ErrCodeProtocol), false, false},
		{"function failure", said(gocql.ErrCodeFunctionFailure), false, false},
		{"syntax", said(gocql.ErrCodeSyntax), true, true},
		{"invalid", fmt.Errorf("wrapped: %w", said(gocql.ErrCodeInvalid)), true, true},
		{"unauthorized", said(gocql.ErrCodeUnauthorized), true, true},
		{"unprepared", said(gocql.ErrCodeUnprepared), true, true},
		{"no connection", gocql.ErrNoConnections, true, true},
		{"no stream", gocql.ErrNoStreams, true, true},
		{"session closed", gocql.ErrSessionClosed, true, true},
		{"connection closed while it waited", gocql.ErrConnectionClosed, false, false},
		{"no response", gocql.ErrTimeoutNoResponse, false, false},
		{"connection lost", io.ErrUnexpectedEOF, false, false},
		{"deadline", context.DeadlineExceeded, false, false},
	} {
		for how, got := range map[bool]error{true: cassandra.ClassifyCAS(tt.err), false: cassandra.Classify(tt.err)} {
			want := tt.plain
			if how {
				want = tt.lwt
			}
			if errors.Is(got, history.ErrNotApplied) != want || !errors.Is(got, tt.err) {
				t.Errorf("%s, lightweight transaction %t: %v, want definite %t", tt.name, how, got, want)
			}
		}
	}
	if err := errors.Join(cassandra.Classify(nil), cassandra.ClassifyCAS(nil)); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}
