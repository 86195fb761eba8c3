package cassandra

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// The workloads' keyspace, and one whose rows are on every node.
const (
	keyspace   = "capstan"
	everywhere = "capstan_everywhere"
)

// Ready implements targets.System: every node answers and knows all others, all
// have the same schema, with the workloads' tables, and through every node a
// write arrives on all. It makes the tables if there are none.
func (s *system) Ready(ctx context.Context) error { return s.Await(ctx, s.ask) }

// ask is nil if the cluster is ready at this moment.
func (s *system) ask(ctx context.Context) error {
	first := s.Cluster().Nodes[0]
	if err := s.each(ctx, s.askNode); err != nil {
		return err
	}
	if err := s.makeTables(ctx, first); err != nil {
		return deploy.NotReady(first, err)
	}
	return s.each(ctx, s.askAll)
}

// each asks all nodes at the same time and returns one's error.
func (s *system) each(ctx context.Context, ask func(context.Context, *session, string) error) error {
	nodes := s.Cluster().Nodes
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = s.with(ctx, n, ask) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return deploy.NotReady(nodes[i], err)
		}
	}
	return nil
}

// with asks one node on a session of its own.
func (s *system) with(ctx context.Context, node string, ask func(context.Context, *session, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	ses, err := s.dial(ctx, node)
	if err != nil {
		return err
	}
	defer ses.Close()
	return ask(ctx, ses, node)
}

// askNode: it knows all the others.
func (s *system) askNode(ctx context.Context, ses *session, _ string) error {
	version, peers := "", 0
	if err := ses.Query("SELECT release_version FROM system.local").Consistency(gocql.One).ScanContext(ctx, &version); err != nil {
		return err
	}
	if err := ses.Query("SELECT count(*) FROM system.peers_v2").Consistency(gocql.One).ScanContext(ctx, &peers); err != nil {
		return err
	}
	s.SetVersion("cassandra", version)
	if want := len(s.Cluster().Nodes) - 1; peers != want {
		return fmt.Errorf("knows %d of %d peers", peers, want)
	}
	return nil
}

// tables are what the workloads and readiness use.
func (s *system) tables() []string {
	with := " WITH read_repair = 'BLOCKING'"
	if s.Spec.Levels[levelRepair] == "none" {
		with = " WITH read_repair = 'NONE'"
	}
	return []string{
		"CREATE KEYSPACE IF NOT EXISTS " + keyspace + " WITH replication = " + s.ring.replication(replicas),
		"CREATE KEYSPACE IF NOT EXISTS " + everywhere + " WITH replication = " + s.ring.replication(len(s.ring.names)),
		"CREATE TABLE IF NOT EXISTS " + keyspace + ".registers (k int PRIMARY KEY, v int)" + with,
		"CREATE TABLE IF NOT EXISTS " + keyspace + ".elements (k int, v int, PRIMARY KEY (k, v))" + with,
		"CREATE TABLE IF NOT EXISTS " + keyspace + ".sets (k int PRIMARY KEY, v set<int>)" + with,
		"CREATE TABLE IF NOT EXISTS " + keyspace + ".counters (k int PRIMARY KEY, n counter)" + with,
		"CREATE TABLE IF NOT EXISTS " + keyspace + ".cells (p int, k int, version int, v frozen<list<int>>, PRIMARY KEY (p, k))" + with,
		"CREATE TABLE IF NOT EXISTS " + everywhere + ".asked (node text PRIMARY KEY, at timestamp)",
	}
}

const schemaTimeout = 30 * time.Second

// makeTables makes what is missing, through one node: the others hear of it.
func (s *system) makeTables(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	ses, err := s.dial(ctx, node)
	if err != nil {
		return err
	}
	defer ses.Close()
	if n, err := countTables(ctx, ses); err != nil || n == len(s.tables())-2 {
		return err
	}
	for _, cql := range s.tables() {
		if err := ses.Query(cql).ExecContext(ctx); err != nil {
			return fmt.Errorf("make tables: %w", err)
		}
	}
	return nil
}

func countTables(ctx context.Context, ses *session) (n int, err error) {
	err = ses.Query("SELECT count(*) FROM system_schema.tables WHERE keyspace_name IN (?, ?)", keyspace, everywhere).
		Consistency(gocql.One).ScanContext(ctx, &n)
	return n, err
}

// askAll: the tables have arrived, and a write through this node arrives on all
// nodes.
func (s *system) askAll(ctx context.Context, ses *session, node string) error {
	n, err := countTables(ctx, ses)
	if err != nil {
		return err
	}
	if n != len(s.tables())-2 {
		return errors.New("tables have not arrived")
	}
	return ses.Query("INSERT INTO "+everywhere+".asked (node, at) VALUES (?, ?)", node, time.Now()).
		Consistency(gocql.All).ExecContext(ctx)
}

// now asks a node for its time, which it tells in milliseconds.
func (s *system) now(ctx context.Context, node string) (t time.Time, err error) {
	err = s.with(ctx, node, func(ctx context.Context, ses *session, _ string) error {
		return ses.Query("SELECT currentTimestamp() FROM system.local").Consistency(gocql.One).ScanContext(ctx, &t)
	})
	return t, err
}
