package avail

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/capstan-dev/capstan/history"
)

// timed is whose latency is measured; of all sides if side is empty.
type timed struct{ phase, side, f string }

// clocks hold the latencies of one phase and operation.
type clocks struct{ response, service []int64 }

const (
	longest = int64(time.Hour) // what takes longer counts as an hour
	digits  = 3
)

func (c *clocks) record(p history.Pair) {
	from := p.Invoke.Time
	if p.Invoke.Due > 0 {
		from = min(from, p.Invoke.Due)
	}
	c.response = append(c.response, int64(p.Complete.Time-from))
	c.service = append(c.service, int64(p.Complete.Time-p.Invoke.Time))
}

// scale is the one histogram that all latencies go through, one after the
// other: one for each phase would be half a megabyte for each.
func scale() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }

func (c *clocks) latency(k timed, h *hdrhistogram.Histogram) Latency {
	return Latency{Phase: k.phase, Side: k.side, F: k.f, N: len(c.response), Quantiles: quantiles(h, c.response), Service: quantiles(h, c.service)}
}

func quantiles(h *hdrhistogram.Histogram, values []int64) Quantiles {
	h.Reset()
	for _, v := range values {
		// Clamped to the histogram's range, so that it cannot fail.
		_ = h.RecordValue(min(max(v, 1), longest))
	}
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return Quantiles{at(50), at(90), at(99), at(99.9), time.Duration(h.Max())}
}
