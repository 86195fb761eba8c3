package log

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// ValueError says that an operation is no transaction.
type ValueError struct {
	File string // empty if unknown
	Line int    // from 1; 0 if unknown
	// Position is that of the event in the history, from 0.
	Position int
	Msg      string
}

// Error is FILE:LINE: MESSAGE, as far as that is known.
func (e *ValueError) Error() string {
	switch {
	case e.Line > 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	case e.File != "":
		return e.File + ": " + e.Msg
	}
	return e.Msg
}

// InFile adds the place to an error about a value: the line, where the file has
// an operation a line.
func InFile(path string, events int, err error) error {
	var v *ValueError
	if !errors.As(err, &v) {
		return fmt.Errorf("%s: %w", path, err)
	}
	v.File = path
	f, err := os.Open(path)
	if err != nil {
		return v
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	line, begun, at := 0, 0, 0
	for {
		start, more, err := in.ReadLine()
		if err != nil {
			break
		}
		line++
		if begins(start) {
			if begun == v.Position {
				at = line
			}
			begun++
		}
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
	}
	if begun == events {
		v.Line = at
	}
	return v
}
