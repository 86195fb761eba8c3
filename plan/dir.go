package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Dir is a run directory: all that is left of a run, and all that checking
// and reporting need.
type Dir string

// The files of a run directory.
func (d Dir) Plan() string    { return filepath.Join(string(d), "plan.yaml") }
func (d Dir) Info() string    { return filepath.Join(string(d), "run.json") }
func (d Dir) History() string { return filepath.Join(string(d), "history.jsonl") }
func (d Dir) Results() string { return filepath.Join(string(d), "results.json") }
func (d Dir) Report() string  { return filepath.Join(string(d), "report.html") }
func (d Dir) JUnit() string   { return filepath.Join(string(d), "junit.xml") }
func (d Dir) Log() string     { return filepath.Join(string(d), "run.log") }
func (d Dir) Nodes() string   { return filepath.Join(string(d), "nodes") }

// Info is what a run found out about itself beside its plan and history.
type Info struct {
	// Capstan is the version of the program.
	Capstan string    `json:"capstan"`
	Started time.Time `json:"started"`
	// Boot is from the command to a ready cluster, Duration from the first
	// operation to the last.
	Boot     time.Duration `json:"boot_ns"`
	Duration time.Duration `json:"duration_ns"`
	// Virtual is true if time was simulated.
	Virtual bool `json:"virtual,omitempty"`
	// Claim is the model that the system's documentation promises.
	Claim    string            `json:"claim,omitempty"`
	Versions map[string]string `json:"versions,omitempty"`
	Nodes    []string          `json:"nodes"`
	// Memory is what each node's server used at the end, in bytes, where it
	// was measured.
	Memory map[string]int64 `json:"memory,omitempty"`
	// Interrupted is true if the run was stopped before its time limit.
	Interrupted bool `json:"interrupted,omitempty"`
	// Problems are reasons not to trust a verdict of valid.
	Problems []string `json:"problems,omitempty"`
}

// WriteInfo saves run.json.
func (d Dir) WriteInfo(i Info) error {
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return fmt.Errorf("encode run info: %w", err)
	}
	if err := os.WriteFile(d.Info(), append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write run info: %w", err)
	}
	return nil
}

// ReadInfo reads run.json.
func (d Dir) ReadInfo() (Info, error) {
	var i Info
	b, err := os.ReadFile(d.Info())
	if err != nil {
		return i, fmt.Errorf("read run info: %w", err)
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("decode %s: %w", d.Info(), err)
	}
	return i, nil
}
