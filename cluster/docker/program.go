package docker

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// envAgent names a file with the agent's program, for machines where capstan
// itself is not one that the engine could run.
const envAgent = "CAPSTAN_AGENT"

// agentDir is where the program is put in a container.
const agentDir = "/capstan"

// program is the agent's executable with all that it needs to run in any
// image, whatever C library that has, if any.
type program struct {
	files []File
	argv  []string
}

// programs reads the program once for an engine.
type programs struct {
	once sync.Once
	p    program
	err  error
}

// program is capstan itself, as a rule.
func (e *Engine) program(ctx context.Context) (program, error) {
	e.agent.once.Do(func() { e.agent.p, e.agent.err = e.findProgram(ctx) })
	return e.agent.p, e.agent.err
}

func (e *Engine) findProgram(ctx context.Context) (program, error) {
	file := os.Getenv(envAgent)
	if file == "" {
		var err error
		if file, err = e.ownProgram(ctx); err != nil {
			return program{}, &Error{
				Doing: "find a program for the agents", Err: err,
				Advice: "set " + envAgent + " to a capstan built for the engine: CGO_ENABLED=0 GOOS=linux go build ./cmd/capstan",
			}
		}
	}
	p, err := pack(file)
	if err != nil {
		return program{}, fmt.Errorf("prepare the agent's program %s: %w", file, err)
	}
	return p, nil
}

// ownProgram is this process' own executable, if the engine can run it as an
// agent.
func (e *Engine) ownProgram(ctx context.Context) (string, error) {
	facts, err := e.Facts(ctx)
	if err != nil {
		return "", err
	}
	arch := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[facts.Arch]
	if runtime.GOOS != "linux" || arch != "" && arch != runtime.GOARCH {
		return "", fmt.Errorf("this capstan is for %s/%s, the engine runs linux/%s", runtime.GOOS, runtime.GOARCH, facts.Arch)
	}
	if info, ok := debug.ReadBuildInfo(); !ok || path.Base(info.Path) != "capstan" {
		return "", errors.New("this program is not capstan")
	}
	return os.Executable()
}

// pack reads an executable and, if it is not static, its loader and libraries:
// with these it runs in an image of another C library, too.
func pack(file string) (program, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return program{}, err
	}
	bin := path.Join(agentDir, "agent")
	p := program{files: []File{{Path: bin, Mode: 0o755, Content: content}}, argv: []string{bin}}
	loader, err := interpreter(content)
	if err != nil || loader == "" {
		return p, err
	}
	libs, err := libraries(loader, file)
	if err != nil {
		return program{}, err
	}
	p.argv = []string{path.Join(agentDir, "loader"), "--library-path", agentDir, bin}
	for target, source := range libs {
		b, err := os.ReadFile(source)
		if err != nil {
			return program{}, fmt.Errorf("read a library that it needs: %w", err)
		}
		p.files = append(p.files, File{Path: path.Join(agentDir, target), Mode: 0o755, Content: b})
	}
	return p, nil
}

// interpreter is the path of an executable's loader; empty if it is static.
func interpreter(content []byte) (string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return "", fmt.Errorf("read it as an ELF executable: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return "", fmt.Errorf("read the name of its loader: %w", err)
		}
		return strings.TrimRight(string(b), "\x00"), nil
	}
	return "", nil
}

// libraries asks the loader which files it would load: name -> path.
func libraries(loader, file string) (map[string]string, error) {
	cmd := exec.Command(loader, "--list", file)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask its loader for the libraries that it needs: %w", err)
	}
	libs := map[string]string{"loader": loader}
	for line := range strings.Lines(string(out)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " => ")
		source, _, _ := strings.Cut(rest, " (")
		if ok && path.IsAbs(source) {
			libs[path.Base(name)] = source
		}
	}
	return libs, nil
}
