package cassandra

import (
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// Classify and ClassifyCAS are what calls' errors pass through.
func Classify(err error) error    { return classify(err) }
func ClassifyCAS(err error) error { return classifyCAS(err) }

// Overlap says whether reads meet writes in a ring.
func Overlap(spec targets.Spec, read, write string) bool { return newRing(spec).overlap(read, write) }

// Tokens are those of all nodes.
func Tokens(spec targets.Spec) (tokens []string) {
	r := newRing(spec)
	for _, n := range r.names {
		tokens = append(tokens, r.token(n))
	}
	return tokens
}

// Replication is that of the workloads' tables.
func Replication(spec targets.Spec) string { return newRing(spec).replication(replicas) }

// Promises are the claims at these levels.
func Promises(spec targets.Spec) (claim, isolation string) {
	s := &system{Deployment: described(spec), ring: newRing(spec)}
	return s.Claim(), s.Isolation()
}

func described(spec targets.Spec) *deploy.Deployment { return &deploy.Deployment{Spec: spec} }

// At is the connection at other levels.
func (c *Conn) At(levels map[string]string) *Conn { return &Conn{s: c.s, levels: levels} }
