package mysql

import (
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// Classify is the mapping of errors of a statement that commits by itself.
func Classify(err error) error { return classify(err) }

// ClassifyCommit is that of errors of COMMIT.
func ClassifyCommit(err error) error { return classifyCommit(err) }

// Promises are the claim and the isolation of a topology at these levels.
func Promises(topology string, levels map[string]string) (claim, isolation string) {
	s := &system{Deployment: &deploy.Deployment{Spec: targets.Spec{Topology: topology, Levels: levels}}}
	return s.Claim(), s.Isolation()
}

// Marked are a statement and its arguments as the driver wants them.
func Marked(sql string, args ...any) (string, []any) { return marked(sql, args) }
