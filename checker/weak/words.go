package weak

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var placeholder = regexp.MustCompile(`\{\.?-?\d+\}`)

// render replaces {3} by a name of operation 3 and {.3} by the name without
// its process, with node and time when it comes up first, and always if another
// one has the same name.
func (in *Input) render(t *trace, v violation) string {
	same := map[string]int{}
	for _, i := range v.ops {
		same[in.name(t, i)]++
	}
	told := map[int]bool{}
	text := placeholder.ReplaceAllStringFunc(v.say, func(p string) string {
		n, ok := number(p)
		if !ok {
			return "an operation"
		}
		i := int32(n)
		name := in.name(t, i)
		if p[1] == '.' {
			name = in.deed(t, i)
		}
		if told[n] && same[in.name(t, i)] < 2 {
			return name
		}
		told[n] = true
		return name + in.place(t, i)
	})
	return text + "."
}

// name is e.g. process 4's read of 17.
func (in *Input) name(t *trace, i int32) string {
	return fmt.Sprintf("process %d's %s", t.ops[i].Process, in.deed(t, i))
}

// deed is e.g. read of 17.
func (in *Input) deed(t *trace, i int32) string {
	o := &t.ops[i]
	on := ""
	if len(in.keys) > 1 {
		on = " on key " + in.keys[o.Key]
	}
	switch {
	case o.Set == None:
		return "read of " + in.values.Text(o.See) + on
	case o.See == None:
		return "write of " + in.values.Text(o.Set) + on
	}
	return "cas from " + in.values.Text(o.See) + " to " + in.values.Text(o.Set) + on
}

// place is e.g. (n2, 12.004 s), or (n2, event 12) if there are no times.
func (in *Input) place(t *trace, i int32) string {
	o := &t.ops[i]
	e := &in.h.Events[in.Calls[o.Note][0]]
	at := fmt.Sprintf("%.3f s", e.Time.Seconds())
	if in.timeless {
		at = fmt.Sprintf("event %d", e.Index)
	}
	if e.Node != "" {
		at = e.Node + ", " + at
	}
	if o.Crashed {
		at += ", never answered"
	}
	return " (" + at + ")"
}

// number is the operation in a placeholder.
func number(p string) (n int, ok bool) {
	n, err := strconv.Atoi(strings.Trim(p, "{.}"))
	return n, err == nil && n >= 0
}

// renumber replaces the operation in a placeholder.
func renumber(p string, ops []int32) string {
	n, ok := number(p)
	if !ok {
		return p
	}
	return strings.Replace(p, strconv.Itoa(n), itoa(ops[n]), 1)
}
