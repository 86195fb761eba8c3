package require

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// WithAgent runs the tests of a package that makes clusters in containers: it
// builds capstan, which is the program of the agents there, unless the
// environment names one or there seems to be no engine.
func WithAgent(m *testing.M) int {
	if os.Getenv("CAPSTAN_AGENT") != "" || !maybeDocker() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "capstan-agent-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the agent:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "capstan")
	build := exec.Command("go", "build", "-o", file, "github.com/capstan-dev/capstan/cmd/capstan")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the agent: %v\n%s", err, out)
		return 1
	}
	os.Setenv("CAPSTAN_AGENT", file)
	return m.Run()
}

func maybeDocker() bool {
	_, err := os.Stat("/var/run/docker.sock")
	return err == nil || os.Getenv("DOCKER_HOST") != "" || os.Getenv("CAPSTAN_REQUIRE") != ""
}
