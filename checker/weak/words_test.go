package weak

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestTimeless: a history whose times are positions is told by its events.
func TestTimeless(t *testing.T) {
	h := parse(t, "1@a write k 5\n1@a read k null\n")
	for i := range h.Events {
		h.Events[i].Time = time.Duration(i)
	}
	text := func() string {
		r, err := Classify(context.Background(), h, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Refuted[0].Text
	}
	if got := text(); !strings.Contains(got, "(a, event 0)") || strings.Contains(got, " s)") {
		t.Errorf("without times: %s", got)
	}
	h.Events[3].Time = time.Second
	if got := text(); !strings.Contains(got, "(a, 0.000 s)") {
		t.Errorf("with times: %s", got)
	}
}
