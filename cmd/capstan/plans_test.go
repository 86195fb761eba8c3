package main

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/plan"
)

// TestPlansThatShip: each can be run as it is, says what it is to show, and
// expects something unless it only measures.
func TestPlansThatShip(t *testing.T) {
	count := 0
	err := filepath.WalkDir("../../plans", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		count++
		p, err := plan.ReadFile(path, plan.Default())
		if err != nil {
			t.Error(err)
			return nil
		}
		if _, err := resolveCells("", p); err != nil {
			t.Error(err)
		}
		if p.Title == "" || p.Expect == "" && len(p.Vary) == 0 {
			t.Errorf("%s does not say what it is to show and what to expect", path)
		}
		return nil
	})
	if err != nil || count == 0 {
		t.Errorf("%d plans, %v", count, err)
	}
}
