package workloads

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// Arg decodes an operation's argument. The error proves that the operation
// had no effect: it was never sent.
func Arg[T any](f string, value json.RawMessage) (T, error) {
	var arg T
	if err := json.Unmarshal(value, &arg); err != nil {
		return arg, fmt.Errorf("%w: decode the argument of %s: %w", history.ErrNotApplied, f, err)
	}
	return arg, nil
}

// NoSuch is the error for an operation that a workload does not have.
func NoSuch(workload string, op gen.Op) error {
	return fmt.Errorf("%w: %s has no operation %q", history.ErrNotApplied, workload, op.F)
}

// AppendInts writes a JSON array; reads of sets and lists are large, and this is
// quick.
func AppendInts(b []byte, ints []int) []byte {
	b = append(b, '[')
	for i, x := range ints {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(x), 10)
	}
	return append(b, ']')
}
