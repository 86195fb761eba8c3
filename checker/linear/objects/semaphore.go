package objects

import "github.com/capstan-dev/capstan/checker/linear/spec"

// Permits is one operation on a semaphore: it takes that many, or gives them
// back if negative.
type Permits int32

// Semaphore has a number of permits. Out is true if it did what was asked; an
// acquire that found too few is answered by false. Nobody may give back more
// than was taken.
func Semaphore(permits int32) spec.Model[int32, Permits, bool] {
	return spec.Model[int32, Permits, bool]{
		Name: "semaphore",
		Step: func(taken int32, n Permits, out bool) (int32, bool) {
			next := taken + int32(n)
			if !out {
				return taken, next > permits
			}
			return next, next >= 0 && next <= permits
		},
		Outs: func(taken int32, n Permits) []bool {
			switch next := taken + int32(n); {
			case next < 0:
				return nil
			case next > permits:
				return []bool{false}
			}
			return []bool{true}
		},
		Pure:  func(n Permits, out bool) bool { return !out || n == 0 },
		Equal: func(a, b int32) bool { return a == b },
		Hash:  func(s int32) uint64 { return uint64(uint32(s)) },
		Object: func() func(Permits, bool) bool {
			free := permits
			return func(n Permits, out bool) bool {
				if !out {
					return n > Permits(free)
				}
				free -= int32(n)
				return free >= 0 && free <= permits
			}
		},
	}
}
