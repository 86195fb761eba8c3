// Package docker runs clusters in containers and has the powers over them that
// faults use: it cuts links with iptables, kills and pauses servers. It speaks
// to the Docker Engine API only, from engine 20.10 on, and is the only package
// that imports the engine's client library.
//
// Each node is two containers. The holder owns the network namespace: address,
// DNS alias, published ports, iptables rules. The server joins it, unprivileged
// and unmodified, and can be killed and started again without losing its
// address or healing a partition.
package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/client"
)

// connectTimeout bounds the first words with the engine. A local one answers
// in a millisecond.
const connectTimeout = 10 * time.Second

// Error is trouble with the environment, and what to do about it.
type Error struct {
	// Doing is what could not be done, as verb and object.
	Doing  string
	Err    error
	Advice string
}

func (e *Error) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string { return e.Advice }

// Engine is a connection to a Docker engine.
type Engine struct {
	api   *client.Client
	log   *slog.Logger
	agent programs
	// Images says where images come from.
	Images ImagePolicy
}

// Connect finds the engine that the environment names (DOCKER_HOST, else the
// Docker context, else the usual sockets), agrees on an API version and checks
// that it answers. CAPSTAN_IMAGES sets the image policy. log may be nil.
func Connect(ctx context.Context, log *slog.Logger) (*Engine, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	policy, err := ParseImagePolicy(os.Getenv("CAPSTAN_IMAGES"))
	if err != nil {
		return nil, fmt.Errorf("read CAPSTAN_IMAGES: %w", err)
	}
	host := findHost()
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if os.Getenv(client.EnvOverrideHost) == "" {
		opts = append(opts, client.WithHost(host))
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, unreachable(host, err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := api.Ping(ctx); err != nil {
		api.Close()
		return nil, unreachable(host, err)
	}
	api.NegotiateAPIVersion(ctx)
	return &Engine{api: api, log: log, Images: policy}, nil
}

// Close ends the connection; what runs in the engine stays.
func (e *Engine) Close() error { return e.api.Close() }

// Host is the address of the engine.
func (e *Engine) Host() string { return e.api.DaemonHost() }

func unreachable(host string, err error) error {
	return &Error{
		Doing: "reach the Docker engine at " + host,
		Err:   err,
		Advice: "start Docker and see that this user may use it (`docker version` must answer), or set DOCKER_HOST; " +
			"on a bare Debian `.ci/engine up` installs and starts it. `capstan run sim` needs no Docker.",
	}
}

// remote says whether the engine is on another machine, where ports published
// on its loopback cannot be reached.
func (e *Engine) remote() bool {
	u, err := url.Parse(e.Host())
	if err != nil || u.Scheme == "unix" || u.Scheme == "npipe" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// findHost is the engine that the docker command would speak to.
func findHost() string {
	if h := os.Getenv(client.EnvOverrideHost); h != "" {
		return h
	}
	home, _ := os.UserHomeDir()
	if h := contextHost(home); h != "" {
		return h
	}
	sockets := []string{
		"/var/run/docker.sock",
		filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock"),
		filepath.Join(home, ".docker", "run", "docker.sock"),
	}
	for _, s := range sockets {
		if _, err := os.Stat(s); err == nil {
			return "unix://" + s
		}
	}
	return client.DefaultDockerHost
}

// contextHost reads the engine's address of the current Docker context, which
// is how Docker Desktop and its kin say where they listen. Empty if there is
// none.
func contextHost(home string) string {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(home, ".docker")
	}
	name := os.Getenv("DOCKER_CONTEXT")
	if name == "" {
		var config struct{ CurrentContext string }
		readJSON(filepath.Join(dir, "config.json"), &config)
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return ""
	}
	sum := sha256.Sum256([]byte(name))
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	readJSON(filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json"), &meta)
	return meta.Endpoints["docker"].Host
}

// readJSON leaves v as it is if the file cannot be read: a broken Docker
// configuration shows when the engine does not answer.
func readJSON(path string, v any) {
	if b, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(b, v)
	}
}
