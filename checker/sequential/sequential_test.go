package sequential_test

import (
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/sequential"
	"github.com/capstan-dev/capstan/checker/transcript"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		scan    string
		verdict checker.Verdict
		kinds   string
	}{
		{"[1,[1,1,1]]", checker.Valid, ""},
		{"[1,[null,1,1]]", checker.Valid, ""},
		{"[1,[null,null,1]]", checker.Valid, ""},
		{"[1,[null,null,null]]", checker.Unknown, ""},
		{"[1,[null,1,null]]", checker.Invalid, "reordered[0 1 2 3]"}, // with the put that was not seen
		{"[1,[1,null,1]]", checker.Invalid, "reordered[2 3]"},
		{"[1,[1,null,null]]", checker.Invalid, "reordered[2 3]"},
		{"[1,2]", checker.Unknown, ""},
	} {
		h := transcript.Parse(t, `
			0 invoke put [1,0]
			0 ok put [1,0]
			1 invoke scan [1,null]
			1 ok scan `+c.scan)
		res := checker.Run(t.Context(), sequential.New(), h)
		if got := transcript.Kinds(res); res.Verdict != c.verdict || got != c.kinds {
			t.Errorf("%s: %v %s: %s", c.scan, res.Verdict, got, res.Reason)
		}
	}
}
