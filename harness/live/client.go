package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/capstan-dev/capstan/harness"
)

// Client speaks to the process that keeps a cluster.
type Client struct {
	Name string
	http *http.Client
}

func newClient(name string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket(name))
	}
	return &Client{Name: name, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// All finds the clusters that are up, and removes the sockets of those whose
// process is dead.
func All(ctx context.Context) ([]*Client, error) {
	files, err := filepath.Glob(socket("*"))
	if err != nil {
		return nil, fmt.Errorf("look for clusters: %w", err)
	}
	var up []*Client
	for _, f := range files {
		c := newClient(strings.TrimSuffix(filepath.Base(f), ".sock"))
		// One that is just coming up does not answer yet.
		short, cancel := context.WithTimeout(ctx, lookTimeout)
		err := c.do(short, http.MethodGet, "/ping", nil, nil)
		cancel()
		if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(f) // if it stays, it is found again
			continue
		}
		up = append(up, c)
	}
	return up, nil
}

// Find is the cluster of that name, or the only one that is up if the name is
// empty.
func Find(ctx context.Context, name string) (*Client, error) {
	up, err := All(ctx)
	if err != nil {
		return nil, err
	}
	var there []string
	for _, c := range up {
		if c.Name == name || name == "" && len(up) == 1 {
			return c, nil
		}
		there = append(there, c.Name)
	}
	switch {
	case len(up) == 0:
		return nil, ErrNone
	case name == "":
		return nil, fmt.Errorf("several clusters are up: %s; say which", strings.Join(there, ", "))
	}
	return nil, fmt.Errorf("no cluster %q is up; there are: %s", name, strings.Join(there, ", "))
}

// Await waits until the cluster that a process is bringing up answers.
func Await(ctx context.Context, name string, pid int) (*Client, error) {
	c := newClient(name)
	for {
		if s, err := c.Status(ctx); err == nil && s.PID == pid {
			return c, nil
		}
		if err := harness.RealTime().Sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("wait for cluster %s: %w", name, err)
		}
	}
}

// Status asks what the cluster is like.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, "/status", nil, &s)
}

// Add brings a fault into force, and returns when that was measured. The text
// is that of a fault, with a time after which it heals if it has one, e.g.
// "isolate(primary) 5s".
func (c *Client) Add(ctx context.Context, text string) (f Fault, err error) {
	return f, c.do(ctx, http.MethodPost, "/faults", request{text}, &f)
}

// Heal heals the fault with that number and returns what was measured then.
func (c *Client) Heal(ctx context.Context, id int) (f Fault, err error) {
	return f, c.do(ctx, http.MethodDelete, "/faults/"+strconv.Itoa(id), nil, &f)
}

// HealAll heals everything, also what no fault is known to have broken.
func (c *Client) HealAll(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/faults", nil, nil)
}

// Down heals and takes the cluster down, and returns when that is done.
func (c *Client) Down(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/down", nil, nil)
}

func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://capstan"+path, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the process of cluster %s: %w", c.Name, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer of cluster %s: %w", c.Name, err)
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("cluster %s answers %s", c.Name, resp.Status)
		}
		return errors.New(f.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(text, result); err != nil {
		return fmt.Errorf("decode the answer of cluster %s: %w", c.Name, err)
	}
	return nil
}
