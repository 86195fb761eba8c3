package nemesis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/plan"
)

// Gantt draws the schedule of a run of that length: one row a fault, in order
// of the first start, a time axis below, all at most width wide where names
// are short. Triggered faults, of which nobody knows the time, show a "?".
func (s Schedule) Gantt(limit time.Duration, width int) string {
	if len(s) == 0 || limit <= 0 {
		return ""
	}
	var names []string
	label := 0
	for _, st := range s {
		if n := st.Fault.Name(); !slices.Contains(names, n) {
			names = append(names, n)
			label = max(label, len([]rune(n)))
		}
	}
	label = min(label, width/2)
	columns := max(20, width-label-2)
	var b strings.Builder
	for _, name := range names {
		row := []rune(strings.Repeat("·", columns))
		for _, st := range s {
			if st.Fault.Name() == name {
				st.mark(row, limit)
			}
		}
		fmt.Fprintf(&b, "%s  %s\n", pad(name, label), string(row))
	}
	fmt.Fprintf(&b, "%s  %s\n", strings.Repeat(" ", label), axis(limit, columns))
	return b.String()
}

// mark draws a step into its row, at least one column wide.
func (s Step) mark(row []rune, limit time.Duration) {
	if s.On != (plan.Trigger{}) {
		row[0] = '?'
		return
	}
	column := func(t time.Duration) int { return int(float64(t) / float64(limit) * float64(len(row))) }
	from := min(column(s.At), len(row)-1)
	for i := from; i < max(from+1, min(column(s.At+s.For), len(row))); i++ {
		row[i] = '█'
	}
}

func pad(s string, width int) string {
	r := []rune(s)
	if len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s + strings.Repeat(" ", width-len(r))
}

// axis has a mark every quarter, with its time where there is room for it.
func axis(limit time.Duration, columns int) string {
	line := []rune(strings.Repeat(" ", columns))
	end := []rune(limit.String() + "|")
	room := max(0, columns-len(end))
	copy(line[room:], end)
	for i := range 4 {
		at := columns * i / 4
		label := []rune("|" + (limit * time.Duration(i) / 4).Round(time.Millisecond).String())
		if at+len(label) >= room {
			label = label[:1]
		}
		if at+len(label) <= room {
			copy(line[at:], label)
		}
	}
	return string(line)
}
