// Package require lets a test skip, with the reason, what a machine lacks, and
// turns the skip into a failure where CAPSTAN_REQUIRE says that the machine
// must have it.
package require

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Skip skips the test because thing ("docker", "chromium") is not to be had,
// err saying why. It fails the test instead if the comma-separated list in the
// environment variable CAPSTAN_REQUIRE names the thing.
func Skip(t testing.TB, thing string, err error) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("CAPSTAN_REQUIRE"), ","), thing) {
		t.Fatalf("%s is required here (CAPSTAN_REQUIRE) but is missing: %v", thing, err)
	}
	t.Skipf("needs %s: %v", thing, err)
}
