package sim

import (
	"math/rand/v2"
	"time"
)

// The kinds of streams that a seed is split into.
const (
	streamLink uint64 = iota + 1
	streamClient
	streamNode
	streamDisk
	streamWatch
	streamShape
	streamCanary
)

// stream is the generator of one link, client, node or disk. Each has its own,
// so that one that draws more does not change what the others see.
func stream(seed, kind, a, b uint64) *rand.Rand {
	return rand.New(rand.NewPCG(mix(seed^mix(kind)), mix(a<<32^b+kind)))
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Delay is a distribution of delays: Base plus an exponential part with mean
// Jitter, which is cut off at ten times its mean.
type Delay struct{ Base, Jitter time.Duration }

func (d Delay) draw(r *rand.Rand) time.Duration {
	if d.Jitter == 0 {
		return d.Base
	}
	return d.Base + time.Duration(min(r.ExpFloat64(), 10)*float64(d.Jitter))
}

// longest is the greatest delay that can be drawn.
func (d Delay) longest() time.Duration { return d.Base + 10*d.Jitter }
