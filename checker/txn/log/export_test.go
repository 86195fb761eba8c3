package log

import "io"

// Parts reads a file in so many parts.
func Parts(f io.ReaderAt, size int64, n int) (*Log, error) { return parts(f, size, false, n) }

// SetParts is Parts for transactions on sets.
func SetParts(f io.ReaderAt, size int64, n int) (*Log, error) { return parts(f, size, true, n) }
