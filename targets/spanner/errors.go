package spanner

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
)

// classify marks the errors of a commit, or of a read, which prove that it had
// no effect: answers of the server that it refused, or that the transaction was
// aborted. These codes come from the server only: the gRPC library replaces them
// where it finds them in itself. Of all others some leave it open by their
// meaning ("on very rare occasions, Commit might return UNKNOWN"), and some are
// said by the library as well, when the answer is lost or too large.
func classify(err error) error {
	if err == nil || errors.Is(err, history.ErrNotApplied) || !refused(status.Code(err)) {
		return err
	}
	return targets.NotApplied(err)
}

func refused(code codes.Code) bool {
	switch code {
	case codes.Aborted, codes.AlreadyExists, codes.FailedPrecondition, codes.InvalidArgument, codes.NotFound, codes.OutOfRange:
		return true
	}
	return false
}
