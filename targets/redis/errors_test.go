package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	driver "github.com/gomodule/redigo/redis"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/redis"
)

func TestClassify(t *testing.T) {
	for text, definite := range map[string]bool{
		"READONLY You can't write against a read only replica.":                                        true,
		"READONLY Can not run script with write flag on readonly replica.":                             true,
		"NOREPLICAS Not enough good replicas to write.":                                                true,
		"MOVED 1204 10.0.0.2:6379":                                                                     true,
		"CLUSTERDOWN The cluster is down":                                                              true,
		"LOADING Redis is loading the dataset in memory":                                               true,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":             true,
		"MISCONF Errors writing to the AOF file: No space left on device":                              true,
		"OOM command not allowed when used memory > 'maxmemory'.":                                      true,
		"EXECABORT Transaction discarded because of previous errors.":                                  true,
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.":       true,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                            true,
		"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)": false,
		"ERR user_script:1: attempt to perform arithmetic on a nil value":                              false,
		"ERR something else": false,
		"READONLYISH":        false,
		"":                   false,
	} {
		err := fmt.Errorf("SET: %w", driver.Error(text))
		got := redis.Classify(err)
		if errors.Is(got, history.ErrNotApplied) != definite || !errors.Is(got, err) {
			t.Errorf("%q: %v, want definite %t", text, got, definite)
		}
	}
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, os.ErrDeadlineExceeded, errors.New("READONLY by nobody")} {
		if errors.Is(redis.Classify(err), history.ErrNotApplied) {
			t.Errorf("%v proves nothing", err)
		}
	}
	if err := redis.Classify(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}
