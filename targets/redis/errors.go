package redis

import (
	"errors"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
)

// classify marks the errors that prove that a command had no effect. All others
// leave it open: lost connections, time-outs, and what the server says without
// a code of its own.
func classify(err error) error {
	if err == nil || errors.Is(err, history.ErrNotApplied) || !refused(err) {
		return err
	}
	return targets.NotApplied(err)
}

// refused says whether the server answered with a code that comes before a
// command is executed, see processCommand in its source, and script.
func refused(err error) bool {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return false
	}
	code, _, _ := strings.Cut(string(answer), " ")
	switch code {
	case "READONLY", // a replica
		"NOREPLICAS",                                           // min-replicas-to-write
		"MOVED", "ASK", "TRYAGAIN", "CROSSSLOT", "CLUSTERDOWN", // another node's slot, or nobody's
		"LOADING", "MASTERDOWN", "BUSY", "MISCONF", "OOM", // not now
		"EXECABORT", // one of a transaction's commands was refused
		"WRONGTYPE", "NOAUTH", "WRONGPASS", "NOPERM", "NOPROTO":
		return true
	}
	return false
}
