package targets

import (
	"errors"
	"fmt"

	"github.com/capstan-dev/capstan/history"
)

// NotApplied marks an error that proves that its call had no effect.
func NotApplied(err error) error { return fmt.Errorf("%w: %w", err, history.ErrNotApplied) }

// ErrClosed is the error of calls that were not sent any more.
var ErrClosed = NotApplied(errors.New("the connection is closed"))
