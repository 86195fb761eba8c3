package etcd

import (
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
)

// errConflict is for a transaction whose comparison failed: it wrote nothing.
var errConflict = targets.NotApplied(errors.New("another transaction came in between"))

// classify marks the errors that prove that a request had no effect. All others
// leave it open: time-outs, of which the server has several; a server that
// stops, or whose leader changed; and even "database space exceeded", which the
// member says after it has applied the request that went over the limit.
func classify(err error) error {
	if err == nil || errors.Is(err, history.ErrNotApplied) || !refused(err) {
		return err
	}
	return targets.NotApplied(err)
}

// refusals come before a request is proposed to the log, or from its checks
// before it is applied, which every member makes alike.
var refusals = []error{
	rpctypes.ErrEmptyKey, rpctypes.ErrTooManyOps, rpctypes.ErrDuplicateKey, rpctypes.ErrRequestTooLarge,
	rpctypes.ErrTooManyRequests, rpctypes.ErrCompacted, rpctypes.ErrFutureRev,
	rpctypes.ErrLeaseNotFound, rpctypes.ErrLeaseExist, rpctypes.ErrLeaseTTLTooLarge,
	rpctypes.ErrNotCapable,
}

// dropped is what a member says that has neither appended a proposal to its log
// nor passed it on, e.g. while its leader hands over.
const dropped = "raft proposal dropped"

func refused(err error) bool {
	if s, ok := status.FromError(err); ok && s.Code() == codes.Unknown && s.Message() == dropped {
		return true
	}
	return slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(rpctypes.Error(err), r) })
}
