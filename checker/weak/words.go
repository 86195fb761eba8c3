package weak

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var placeholder = regexp.MustCompile(`\{(-?\d+)\}`)

// render replaces {3} by a name of operation 3, with its node and time when it
// comes up first, and always if another one has the same name.
func (in *Input) render(t *trace, v violation) string {
	same := map[string]int{}
	for _, i := range v.ops {
		same[in.name(t, i)]++
	}
	told := map[int]bool{}
	text := placeholder.ReplaceAllStringFunc(v.say, func(p string) string {
		i, err := strconv.Atoi(strings.Trim(p, "{}"))
		if err != nil || i < 0 {
			return "an operation"
		}
		name := in.name(t, int32(i))
		if told[i] && same[name] < 2 {
			return name
		}
		told[i] = true
		return name + in.place(t, int32(i))
	})
	return text + "."
}

// name is e.g. process 4's read of 17.
func (in *Input) name(t *trace, i int32) string {
	o := &t.ops[i]
	who := fmt.Sprintf("process %d's ", o.Process)
	on := ""
	if len(in.keys) > 1 {
		on = " on key " + in.keys[o.Key]
	}
	switch {
	case o.Set == None:
		return who + "read of " + in.values.Text(o.See) + on
	case o.See == None:
		return who + "write of " + in.values.Text(o.Set) + on
	}
	return who + "cas from " + in.values.Text(o.See) + " to " + in.values.Text(o.Set) + on
}

// place is e.g. (n2, 12.004 s).
func (in *Input) place(t *trace, i int32) string {
	o := &t.ops[i]
	e := &in.h.Events[in.Calls[o.Note][0]]
	at := fmt.Sprintf("%.3f s", e.Time.Seconds())
	if e.Node != "" {
		at = e.Node + ", " + at
	}
	if o.Crashed {
		at += ", never answered"
	}
	return " (" + at + ")"
}
