package watch_test

import (
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/transcript"
	"github.com/capstan-dev/capstan/checker/watch"
)

// writes has three values written, the second of unknown outcome.
const writes = `
	0 invoke write 1
	0 ok write 1
	0 invoke write 2
	0 info write 2
	3 invoke write 3
	3 ok write 3
	`

// told is a watch of a process.
func told(process, after, returned string) string {
	return process + " invoke watch " + after + "\n" + process + " ok watch " + returned + "\n"
}

func TestCheck(t *testing.T) {
	all := told("1", "0", `{"values":[1,2,3],"revision":30}`)
	for _, c := range []struct {
		name, history string
		verdict       checker.Verdict
		kinds         string
	}{
		{"the same", writes + all + told("2", "0", `{"values":[1],"revision":10}`) + told("2", "10", `{"values":[2,3],"revision":30}`), checker.Valid, ""},
		{"a prefix", writes + all + told("2", "0", `{"values":[1],"revision":10}`), checker.Valid, ""},
		{"an unknown write that did not happen", writes + strings.ReplaceAll(all+strings.ReplaceAll(all, "1 ", "2 "), "1,2,3", "1,3"), checker.Valid, ""},
		{"another order", writes + all + told("2", "0", `{"values":[1,3,2],"revision":30}`), checker.Invalid, "disagreement[6 7 8 9]"},
		{"one left out at the end", writes + all + told("2", "0", `{"values":[1,2],"revision":30}`), checker.Invalid, "gap[6 7 8 9]"},
		{"one left out", writes + all + told("2", "0", `{"values":[2,3],"revision":30}`), checker.Invalid, "disagreement[6 7 8 9]"},
		{"one twice", writes + told("1", "0", `{"values":[1,2],"revision":20}`) + told("1", "20", `{"values":[2,3],"revision":30}`), checker.Invalid, "repeat[6 7 8 9]"},
		{"from a process that crashed another goes on", writes + told("1", "0", `{"values":[1,2],"revision":20}`) + told("4", "20", `{"values":[3],"revision":30}`), checker.Valid, ""},
		{"lost by all", writes + told("1", "0", `{"values":[2,3],"revision":30}`) + told("2", "0", `{"values":[2,3],"revision":30}`), checker.Invalid, "lost[0 1 6 7]"},
		{"not there yet", writes + told("1", "0", `{"values":[1],"revision":10}`) + told("2", "0", `{"values":[1],"revision":10}`), checker.Unknown, ""},
		{"never written", writes + told("1", "0", `{"values":[1,2,3,4],"revision":40}`), checker.Invalid, "phantom[6 7]"},
		{"backwards", writes + all + told("1", "30", `{"values":[],"revision":20}`), checker.Invalid, "backwards[8 9]"},
		{"from nowhere", writes + told("1", "20", `{"values":[3],"revision":30}`), checker.Unknown, ""},
		{"one observer", writes + all, checker.Unknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := checker.Run(t.Context(), watch.New(), transcript.Parse(t, c.history))
			if got := transcript.Kinds(res); res.Verdict != c.verdict || got != c.kinds {
				t.Errorf("%v %s: %s", res.Verdict, got, res.Reason)
			}
		})
	}
}
