package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// The timeline's geometry, in user units of its SVG.
const (
	timeLeft, timeWidth   = 60.0, 900.0
	bandTop, bandHeight   = 8.0, 16.0
	rateTop, rateHeight   = 60.0, 110.0
	delayTop, delayHeight = 200.0, 130.0
	timeHeight            = 360.0
	timeBuckets           = 225
)

// timeline is faults, rate and latency over one axis of time.
type timeline struct {
	Height     float64
	Left       float64
	Right      float64
	Bands      []band
	Bars       []bar
	P50, P99   string // points of polylines
	Ticks      []tick
	RateMax    string // the rate at the top of the axis
	DelayTicks []tick
	Marks      []mark
	Bucket     string
	Rows       []timelineRow
}

type band struct {
	X, W  float64
	Y     float64 // of the label; those of faults that overlap stand below each other
	Label string
	Title string
	Class string
}

type bar struct {
	X, Y, W, H   float64
	Class, Title string
}

type tick struct {
	Pos   float64
	Label string
}

// mark is a place of the history that an anomaly points at.
type mark struct {
	X     float64
	Title string
}

// timelineRow is the timeline as a table, for readers without pictures.
type timelineRow struct {
	From           string
	OK, Fail, Info int
	P50, P99       string
	Fault          string
}

type bucket struct {
	ok, fail, info int
	latencies      []time.Duration
}

func makeTimeline(h *history.History, ops []operation, windows []history.Window, marks map[int]string) timeline {
	end := max(lastTime(h), time.Millisecond)
	x := func(t time.Duration) float64 {
		return round(timeLeft + timeWidth*float64(min(max(t, 0), end))/float64(end))
	}
	buckets := fill(ops, end)
	tl := timeline{Height: timeHeight, Left: timeLeft, Right: timeLeft + timeWidth,
		Ticks: timeTicks(end, x), Bands: bands(windows, x), Bucket: short(end / timeBuckets)}
	tl.drawRate(buckets, end)
	tl.drawLatency(buckets)
	for _, e := range h.Events {
		if text, ok := marks[e.Index]; ok {
			tl.Marks = append(tl.Marks, mark{x(e.Time), text})
		}
	}
	tl.Rows = rows(buckets, windows, end)
	return tl
}

// fill counts calls by the time they ended; unknown ones by their start.
func fill(ops []operation, end time.Duration) []bucket {
	buckets := make([]bucket, timeBuckets)
	at := func(t time.Duration) *bucket {
		return &buckets[min(int(float64(t)/float64(end)*timeBuckets), timeBuckets-1)]
	}
	for _, o := range ops {
		switch o.Outcome {
		case history.OK:
			b := at(o.End)
			b.ok++
			if d, known := o.latency(); known {
				b.latencies = append(b.latencies, d)
			}
		case history.Fail:
			at(o.End).fail++
		default:
			at(o.Start).info++
		}
	}
	for i := range buckets {
		slices.Sort(buckets[i].latencies)
	}
	return buckets
}

func bands(windows []history.Window, x func(time.Duration) float64) []band {
	const labelTop, labelHeight, labels = 22, 12, 12
	var all []band
	var busy [labels]time.Duration // until when each line of labels is taken
	for _, w := range windows {
		from, to := x(w.Begin), x(w.End)
		line := max(slices.IndexFunc(busy[:], func(end time.Duration) bool { return end <= w.Begin }), 0)
		busy[line] = w.End
		class, proof := "fault", "proven: "+w.Proof
		if !w.Proven {
			class, proof = "fault unproven", "not proven: "+w.StartErr+w.Proof
		}
		all = append(all, band{X: from, W: max(to-from, 1), Y: labelTop + labelHeight*float64(line), Class: class, Label: clean(fmt.Sprint(w.ID)),
			Title: clean(fmt.Sprintf("fault %d %s from %s to %s; %s", w.ID, w.Fault, seconds(w.Start), seconds(w.Stop), proof))})
	}
	return all
}

func (tl *timeline) drawRate(buckets []bucket, end time.Duration) {
	most := usualMost(buckets)
	perSecond := timeBuckets / end.Seconds()
	tl.RateMax = fmt.Sprintf("%.0f/s", float64(most)*perSecond)
	w := timeWidth / timeBuckets
	for i, b := range buckets {
		y := rateTop + rateHeight
		title := fmt.Sprintf("%s: %d ok, %d fail, %d unknown", seconds(end*time.Duration(i)/timeBuckets), b.ok, b.fail, b.info)
		for _, part := range []struct {
			n     int
			class string
		}{{b.ok, "ok"}, {b.fail, "fail"}, {b.info, "info"}} {
			if part.n == 0 {
				continue
			}
			height := min(rateHeight*float64(part.n)/float64(most), y-rateTop)
			y -= height
			tl.Bars = append(tl.Bars, bar{round(timeLeft + float64(i)*w), round(y), round(w), round(height), part.class, title})
		}
	}
}

// usualMost is the top of the rate's axis: what all but the highest twentieth
// of the columns stay below, with some air. The final reads come in one burst
// that would flatten all the rest; their columns are cut off.
func usualMost(buckets []bucket) int {
	var totals []int
	for _, b := range buckets {
		totals = append(totals, b.ok+b.fail+b.info)
	}
	slices.Sort(totals)
	return max(totals[len(totals)*95/100]*5/4, 1)
}

// drawLatency draws the median and the 99th percentile of ok calls over a
// logarithmic axis.
func (tl *timeline) drawLatency(buckets []bucket) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, b := range buckets {
		if n := len(b.latencies); n > 0 {
			low = min(low, logMillis(b.latencies[0]))
			high = max(high, logMillis(b.latencies[n-1]))
		}
	}
	if math.IsInf(low, 1) {
		return
	}
	low, high = math.Floor(low), math.Max(math.Ceil(high), math.Floor(low)+1)
	y := func(d time.Duration) float64 {
		return round(delayTop + delayHeight*(high-logMillis(d))/(high-low))
	}
	var p50, p99 strings.Builder
	for i, b := range buckets {
		if len(b.latencies) == 0 {
			continue
		}
		x := round(timeLeft + (float64(i)+0.5)*timeWidth/timeBuckets)
		fmt.Fprintf(&p50, "%g,%g ", x, y(quantile(b.latencies, 0.5)))
		fmt.Fprintf(&p99, "%g,%g ", x, y(quantile(b.latencies, 0.99)))
	}
	tl.P50, tl.P99 = strings.TrimSpace(p50.String()), strings.TrimSpace(p99.String())
	for e := low; e <= high; e++ {
		d := time.Duration(math.Pow(10, e) * float64(time.Millisecond))
		tl.DelayTicks = append(tl.DelayTicks, tick{y(d), fmt.Sprintf("%g ms", math.Pow(10, e))})
	}
}

func logMillis(d time.Duration) float64 {
	return math.Log10(max(float64(d)/float64(time.Millisecond), 0.001))
}

// quantile of sorted durations, by the nearest rank.
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// timeTicks are about ten round times.
func timeTicks(end time.Duration, x func(time.Duration) float64) []tick {
	step := math.Pow(10, math.Floor(math.Log10(end.Seconds()/5)))
	for end.Seconds()/step > 12 {
		switch {
		case end.Seconds()/(2*step) <= 12:
			step *= 2
		case end.Seconds()/(5*step) <= 12:
			step *= 5
		default:
			step *= 10
		}
	}
	var ticks []tick
	for i := 0.0; i*step <= end.Seconds(); i++ {
		ticks = append(ticks, tick{x(time.Duration(i * step * float64(time.Second))), fmt.Sprintf("%g s", round(i*step))})
	}
	return ticks
}

// rows are the timeline as a table of at most thirty lines.
func rows(buckets []bucket, windows []history.Window, end time.Duration) []timelineRow {
	const lines = 30
	per := (len(buckets) + lines - 1) / lines
	var out []timelineRow
	for i := 0; i < len(buckets); i += per {
		var b bucket
		for _, c := range buckets[i:min(i+per, len(buckets))] {
			b.ok, b.fail, b.info = b.ok+c.ok, b.fail+c.fail, b.info+c.info
			b.latencies = append(b.latencies, c.latencies...)
		}
		slices.Sort(b.latencies)
		from, to := end*time.Duration(i)/timeBuckets, end*time.Duration(i+per)/timeBuckets
		r := timelineRow{From: seconds(from), OK: b.ok, Fail: b.fail, Info: b.info}
		if len(b.latencies) > 0 {
			r.P50, r.P99 = short(quantile(b.latencies, 0.5)), short(quantile(b.latencies, 0.99))
		}
		var names []string
		for _, w := range windows {
			if w.Begin < to && w.End > from {
				names = append(names, clean(w.Fault))
			}
		}
		r.Fault = strings.Join(names, ", ")
		out = append(out, r)
	}
	return out
}

// round keeps two decimals, so that the same run gives the same bytes.
func round(x float64) float64 { return math.Round(x*100) / 100 }
