package links

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long one of iptables' programs may take.
const patience = 5 * time.Second

// restore is an iptables-restore that has read its rules, or none yet, and
// waits for their COMMIT. It ends without a change if this process dies.
type restore struct {
	cmd  *exec.Cmd
	in   *os.File
	out  bytes.Buffer
	done func() // after the commit
}

// startRestore starts the program of one kind, "nft" or "legacy".
func startRestore(f family, kind string) (*restore, error) {
	return start(f.base+"-"+kind+"-restore", "-w", "5", "--noflush")
}

// start starts a program that is fed through its standard input.
func start(name string, args ...string) (*restore, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer r.Close()
	p := &restore{cmd: exec.Command(name, args...), in: w}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = r, &p.out, &p.out
	// The families do not wait for each other's lock.
	p.cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE=/run/xtables-"+name+".lock")
	if err := p.cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// feed gives it rules, and returns when it has read all of them.
func (p *restore) feed(text string) error {
	if _, err := p.in.WriteString(text); err != nil {
		return p.failed(err)
	}
	for start := time.Now(); ; {
		n, err := unix.IoctlGetInt(int(p.in.Fd()), unix.TIOCINQ)
		if err != nil || n == 0 {
			return err
		}
		if time.Since(start) > patience {
			return p.failed(errors.New("it does not read its rules"))
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// commit feeds it the last it needs to put all that it was fed in force.
func (p *restore) commit(last string) error {
	_, err := p.in.WriteString(last)
	err = errors.Join(err, p.in.Close())
	kill := time.AfterFunc(2*patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := errors.Join(err, p.cmd.Wait()); err != nil {
		return p.failed(err)
	}
	return nil
}

// abort ends it without a change.
func (p *restore) abort() {
	_ = p.cmd.Process.Kill()
	p.in.Close()
	_ = p.cmd.Wait() // an error is that it was killed
}

func (p *restore) failed(err error) error {
	return fmt.Errorf("%s: %w: %s", p.cmd.Args[0], err, strings.Join(strings.Fields(p.out.String()), " "))
}

// batch is a tc that waits for its commands. A nil one has nothing to do.
type batch struct {
	p    *restore
	text string
}

func loadBatch(commands []string) (*batch, error) {
	if len(commands) == 0 {
		return nil, nil
	}
	p, err := start("tc", "-batch", "-")
	return &batch{p, strings.Join(commands, "\n") + "\n"}, err
}

func (b *batch) commit() error {
	if b == nil {
		return nil
	}
	return b.p.commit(b.text)
}

func (b *batch) abort() {
	if b != nil {
		b.p.abort()
	}
}

// run runs a command to its end and returns its output.
func run(cmd ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, cmd[0], cmd[1:]...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s: %w: %s", strings.Join(cmd, " "), err, text)
	}
	return text, nil
}
