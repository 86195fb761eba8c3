package writeskew_test

import (
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/transcript"
	"github.com/capstan-dev/capstan/checker/writeskew"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, history string
		verdict       checker.Verdict
		kinds         string
	}{
		{"one of two", `
			0 invoke insert [1,[0,10]]
			1 invoke insert [1,[1,11]]
			0 ok insert [1,[0,10]]
			1 fail insert [1,[1,11]]`, checker.Valid, ""},
		{"both", `
			0 invoke insert [1,[0,10]]
			1 invoke insert [1,[1,11]]
			0 ok insert [1,[0,10]]
			1 ok insert [1,[1,11]]`, checker.Invalid, "G2[0 1 2 3]"},
		{"both, one after the other", `
			0 invoke insert [1,[0,10]]
			0 ok insert [1,[0,10]]
			1 invoke insert [1,[1,11]]
			1 ok insert [1,[1,11]]`, checker.Invalid, "G2[0 1 2 3]"},
		{"an unknown one", `
			0 invoke insert [1,[0,10]]
			0 info insert [1,[0,10]]
			1 invoke insert [1,[1,11]]
			1 ok insert [1,[1,11]]`, checker.Valid, ""},
		{"of two keys", `
			0 invoke insert [1,[0,10]]
			1 invoke insert [2,[1,11]]
			0 ok insert [1,[0,10]]
			1 ok insert [2,[1,11]]`, checker.Unknown, ""},
		{"none", `
			0 invoke insert [1,[0,10]]
			0 fail insert [1,[0,10]]`, checker.Unknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := checker.Run(t.Context(), writeskew.New(), transcript.Parse(t, c.history))
			if got := transcript.Kinds(res); res.Verdict != c.verdict || got != c.kinds {
				t.Errorf("%v %s: %s", res.Verdict, got, res.Reason)
			}
		})
	}
}
