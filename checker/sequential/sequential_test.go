package sequential_test

import (
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/sequential"
	"github.com/capstan-dev/capstan/checker/transcript"
)

func TestCheck(t *testing.T) {
	for scan, want := range map[string]checker.Verdict{
		"[1,[1,1,1]]":          checker.Valid,
		"[1,[null,1,1]]":       checker.Valid,
		"[1,[null,null,1]]":    checker.Valid,
		"[1,[null,null,null]]": checker.Unknown,
		"[1,[null,1,null]]":    checker.Invalid,
		"[1,[1,null,1]]":       checker.Invalid,
		"[1,[1,null,null]]":    checker.Invalid,
		"[1,2]":                checker.Unknown,
	} {
		h := transcript.Parse(t, `
			0 invoke put [1,0]
			0 ok put [1,0]
			1 invoke scan [1,null]
			1 ok scan `+scan)
		res := checker.Run(t.Context(), sequential.New(), h)
		kinds := map[checker.Verdict]string{checker.Invalid: "reordered[2 3]"}[want]
		if got := transcript.Kinds(res); res.Verdict != want || got != kinds {
			t.Errorf("%s: %v %s: %s", scan, res.Verdict, got, res.Reason)
		}
	}
}
