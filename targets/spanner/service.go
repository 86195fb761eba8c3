package spanner

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"

	databases "cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instances "cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	pb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// service is a database of Spanner, whoever runs it.
type service struct {
	spec  targets.Spec
	bound *pb.TransactionOptions_ReadOnly // of reads
	// instance is "projects/P/instances/I"; an emulator's is made.
	instance string
	emulated bool
	dialWire func(ctx context.Context, node string) (net.Conn, error)
	options  []grpc.DialOption // of the channel: whom to trust, who we are
	// made is true once the database was made. What is gone then was lost, and
	// is not made anew.
	made atomic.Bool
}

func newService(spec targets.Spec) (*service, error) {
	bound, err := readBound(spec.Levels)
	if err != nil {
		return nil, err
	}
	return &service{spec: spec, bound: bound}, nil
}

// readBound is the timestamp bound of the level.
func readBound(levels map[string]string) (*pb.TransactionOptions_ReadOnly, error) {
	d, err := staleness(levels)
	if err != nil {
		return nil, err
	}
	b := &pb.TransactionOptions_ReadOnly{TimestampBound: &pb.TransactionOptions_ReadOnly_Strong{Strong: true}}
	switch levels[levelRead] {
	case readBounded:
		b.TimestampBound = &pb.TransactionOptions_ReadOnly_MaxStaleness{MaxStaleness: durationpb.New(d)}
	case readExact:
		b.TimestampBound = &pb.TransactionOptions_ReadOnly_ExactStaleness{ExactStaleness: durationpb.New(d)}
	}
	return b, nil
}

// databaseID is a name of the run's own: others may use the same instance.
func (s *service) databaseID() string {
	sum := sha256.Sum256([]byte(s.spec.RunID))
	return "capstan-" + hex.EncodeToString(sum[:8])
}

func (s *service) database() string { return s.instance + "/databases/" + s.databaseID() }

// dial makes a connection, with the server's greeting.
func (s *service) dial(ctx context.Context, node string) (*channel, error) {
	conn, err := s.dialWire(ctx, node)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	ch, err := newChannel(ctx, conn, s.options)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	return ch, nil
}

// Open implements targets.System.
func (s *service) Open(ctx context.Context, node string, _ int) (io.Closer, error) {
	ch, err := s.dial(ctx, node)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	c, err := s.session(ctx, ch)
	if err != nil {
		return nil, targets.NotApplied(errors.Join(err, ch.Close()))
	}
	return c, nil
}

func (s *service) session(ctx context.Context, ch *channel) (*Conn, error) {
	made, err := ch.CreateSession(ctx, &pb.CreateSessionRequest{Database: s.database()})
	if err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	return &Conn{ch: ch, session: made.Name, bound: s.bound}, nil
}

// ask is nil if the database is there, and every table answers at the level of
// reads; an exactly stale read does once the tables are that old.
func (s *service) ask(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	ch, err := s.dial(ctx, node)
	if err != nil {
		return err
	}
	defer ch.Close()
	if !s.made.Load() {
		if err := s.create(ctx, ch); err != nil {
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
	s.made.Store(true)
	return nil
}

// create makes the database, unless it is there. It may take longer than its
// answer.
func (s *service) create(ctx context.Context, ch *channel) error {
	if s.emulated {
		if err := s.createInstance(ctx, ch); err != nil {
			return err
		}
	}
	_, err := ch.databases.CreateDatabase(ctx, &databases.CreateDatabaseRequest{
		Parent: s.instance, CreateStatement: "CREATE DATABASE `" + s.databaseID() + "`", ExtraStatements: statements(),
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

func (s *service) createInstance(ctx context.Context, ch *channel) error {
	project, id, _ := strings.Cut(s.instance, "/instances/")
	_, err := ch.instances.CreateInstance(ctx, &instances.CreateInstanceRequest{
		Parent: project, InstanceId: id,
		Instance: &instances.Instance{Name: s.instance, Config: project + "/instanceConfigs/emulator-config", DisplayName: id, NodeCount: 1},
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create instance: %w", err)
	}
	return nil
}

// drop removes the database.
func (s *service) drop(ctx context.Context, node string) error {
	ch, err := s.dial(ctx, node)
	if err != nil {
		return err
	}
	defer ch.Close()
	_, err = ch.databases.DropDatabase(ctx, &databases.DropDatabaseRequest{Database: s.database()})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("drop database: %w", err)
	}
	return nil
}

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
