package cassandra

import (
	"errors"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
)

// classify marks the errors of a request that prove that it had no effect. All
// others leave it open: time-outs and failures of replicas, of which some may
// have the write; what the node says of itself when it is overloaded, which it
// may notice when it has sent the write to some; and lost connections.
func classify(err error) error {
	return mark(err, gocql.ErrCodeUnavailable, gocql.ErrCodeBootstrapping)
}

// classifyCAS is for lightweight transactions, which are more than one round:
// that there are too few replicas can turn out after some have accepted.
func classifyCAS(err error) error { return mark(err) }

// mark adds codes to those that come before anything is executed.
func mark(err error, codes ...int) error {
	if err == nil || errors.Is(err, history.ErrNotApplied) {
		return err
	}
	if unsent(err) {
		return targets.NotApplied(err)
	}
	var said gocql.RequestError
	if !errors.As(err, &said) {
		return err
	}
	codes = append(codes,
		gocql.ErrCodeSyntax, gocql.ErrCodeUnauthorized, gocql.ErrCodeInvalid, gocql.ErrCodeConfig,
		gocql.ErrCodeAlreadyExists, gocql.ErrCodeUnprepared, gocql.ErrCodeCredentials)
	for _, code := range codes {
		if said.Code() == code {
			return targets.NotApplied(err)
		}
	}
	return err
}

// unsent: the driver says these before it sends anything, as it makes one
// attempt only.
func unsent(err error) bool {
	for _, e := range []error{gocql.ErrNoConnections, gocql.ErrNoStreams, gocql.ErrSessionClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
