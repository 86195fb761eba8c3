package etcd_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/etcd"
)

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		name     string
		err      error
		definite bool
	}{
		{"too many requests", rpctypes.ErrGRPCRequestTooManyRequests, true},
		{"the same, translated", rpctypes.ErrTooManyRequests, true},
		{"request too large", rpctypes.ErrGRPCRequestTooLarge, true},
		{"duplicate key", rpctypes.ErrGRPCDuplicateKey, true},
		{"compacted", rpctypes.ErrGRPCCompacted, true},
		{"lease is gone", rpctypes.ErrGRPCLeaseNotFound, true},
		{"proposal dropped", status.Error(codes.Unknown, "raft proposal dropped"), true},

		{"no space, said after it was applied", rpctypes.ErrGRPCNoSpace, false},
		{"request timed out", rpctypes.ErrGRPCTimeout, false},
		{"leader failed", rpctypes.ErrGRPCTimeoutDueToLeaderFail, false},
		{"connection lost", rpctypes.ErrGRPCTimeoutDueToConnectionLost, false},
		{"leader changed", rpctypes.ErrGRPCLeaderChanged, false},
		{"no leader", rpctypes.ErrGRPCNoLeader, false},
		{"server stopped", rpctypes.ErrGRPCStopped, false},
		{"corrupt", rpctypes.ErrGRPCCorrupt, false},
		{"member of another cluster", rpctypes.ErrGRPCUnhealthy, false},
		{"server's deadline", rpctypes.ErrGRPCDeadlineExceeded, false},
		{"transport", status.Error(codes.Unavailable, "error reading from server: EOF"), false},
		{"unknown", status.Error(codes.Unknown, "something else"), false},
		{"deadline", context.DeadlineExceeded, false},
		{"connection", io.ErrUnexpectedEOF, false},
	} {
		got := etcd.Classify(tt.err)
		if errors.Is(got, history.ErrNotApplied) != tt.definite || !errors.Is(got, tt.err) {
			t.Errorf("%s: %v, want definite %t", tt.name, got, tt.definite)
		}
	}
	if err := etcd.Classify(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}
