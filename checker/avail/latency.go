package avail

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/capstan-dev/capstan/history"
)

// timed is whose latency is measured.
type timed struct{ phase, f string }

// clocks hold the latencies of one phase and operation.
type clocks struct{ response, service *hdrhistogram.Histogram }

const (
	longest = int64(time.Hour) // what takes longer counts as an hour
	digits  = 3
)

func newClocks() *clocks {
	return &clocks{hdrhistogram.New(1, longest, digits), hdrhistogram.New(1, longest, digits)}
}

func (c *clocks) record(p history.Pair) {
	from := p.Invoke.Time
	if p.Invoke.Due > 0 {
		from = min(from, p.Invoke.Due)
	}
	note(c.response, p.Complete.Time-from)
	note(c.service, p.Complete.Time-p.Invoke.Time)
}

// note clamps the value to the histogram's range, so that it cannot fail.
func note(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), 1), longest))
}

func (c *clocks) latency(k timed) Latency {
	return Latency{Phase: k.phase, F: k.f, N: int(c.response.TotalCount()), Quantiles: quantiles(c.response), Service: quantiles(c.service)}
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return Quantiles{at(50), at(90), at(99), at(99.9), time.Duration(h.Max())}
}
