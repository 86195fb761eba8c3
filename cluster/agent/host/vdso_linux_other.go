//go:build linux && !amd64

package host

import "errors"

// canPatch: the functions that replace those of the vDSO are for one kind of
// processor only.
const canPatch = false

var errProcessor = errors.New("clocks cannot be shifted on this kind of processor")

func setClock(int, rule) (int64, bool, error) { return 0, false, errProcessor }

func hasClock(int, int64, rule) bool { return false }

func readClock(int) (int64, bool, error) { return 0, false, errProcessor }
