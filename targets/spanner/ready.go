package spanner

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	databases "cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instances "cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	pb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// Where the tables are.
const (
	project  = "projects/capstan"
	instance = project + "/instances/capstan"
	database = instance + "/databases/capstan"
)

//go:embed schema.sql
var schema string

// statements are the schema's.
func statements() (all []string) {
	for s := range strings.SplitSeq(schema, ";") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// tables are the schema's. Each has a key k and a value v.
func tables() (all []string) {
	for _, s := range statements() {
		if rest, ok := strings.CutPrefix(s, "CREATE TABLE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			all = append(all, name)
		}
	}
	return all
}

// Ready implements targets.System: the database is there, and every table
// answers at the level of reads; an exactly stale read does once the tables are
// that old.
func (s *system) Ready(ctx context.Context) error { return s.Await(ctx, s.ask) }

// ask is nil if the system is ready at this moment.
func (s *system) ask(ctx context.Context) error {
	for _, n := range s.Cluster().Nodes {
		if err := s.askNode(ctx, n); err != nil {
			return deploy.NotReady(n, err)
		}
	}
	s.made.Store(true)
	return nil
}

func (s *system) askNode(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	ch, err := s.dial(ctx, node)
	if err != nil {
		return err
	}
	defer ch.close()
	if !s.made.Load() {
		if err := create(ctx, ch); err != nil {
			return err
		}
	}
	c, err := s.session(ctx, ch)
	if err != nil {
		return err
	}
	for _, t := range tables() {
		if _, err := c.read(ctx, t, &pb.KeySet{All: true}, 1); err != nil {
			return fmt.Errorf("read table %s: %w", t, err)
		}
	}
	return nil
}

// create makes the database, unless it is there.
func create(ctx context.Context, ch *channel) error {
	_, err := ch.instances.CreateInstance(ctx, &instances.CreateInstanceRequest{
		Parent: project, InstanceId: "capstan",
		Instance: &instances.Instance{Name: instance, Config: project + "/instanceConfigs/emulator-config", DisplayName: "capstan", NodeCount: 1},
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create instance: %w", err)
	}
	_, err = ch.databases.CreateDatabase(ctx, &databases.CreateDatabaseRequest{
		Parent: instance, CreateStatement: "CREATE DATABASE capstan", ExtraStatements: statements(),
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}
