package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/oneconn"
)

// service is what all topologies have in common: an API at a URL.
type service struct {
	spec     targets.Spec
	url      string
	settings aws.Config
	dial     func(ctx context.Context, node string) (net.Conn, error)
}

// client is the SDK on one connection, its retries off.
type client struct {
	*dynamodb.Client
	*oneconn.HTTP
}

func (s *service) client(ctx context.Context, node string) (*client, error) {
	w, err := connect(ctx, s.url, func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, node) })
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	api := dynamodb.NewFromConfig(s.settings, func(o *dynamodb.Options) {
		o.BaseEndpoint = aws.String(s.url)
		o.HTTPClient = w
		o.Retryer = aws.NopRetryer{}
		o.EndpointDiscovery.EnableEndpointDiscovery = aws.EndpointDiscoveryDisabled
	})
	return &client{api, w}, nil
}

// Open implements targets.System.
func (s *service) Open(ctx context.Context, node string, _ int) (io.Closer, error) {
	c, err := s.client(ctx, node)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	items := Items{c: c, table: s.table(), levels: s.spec.Levels}
	// Something in between may take a connection that nobody answers on.
	if _, err := items.get(ctx, key("ready", node)); err != nil {
		return nil, errors.Join(targets.NotApplied(err), c.Close())
	}
	if s.spec.Topology == topologyAlternator {
		return &items, nil
	}
	return &Conn{items}, nil
}

// Claim implements targets.System. A strongly consistent read returns the most
// recent data, of all writes that were acknowledged, and a conditional write is
// atomic (Developer Guide, "DynamoDB read consistency" and "Condition
// expressions"). Alternator's are reads and writes at LOCAL_QUORUM beside
// lightweight transactions; its documentation does not go so far.
func (s *service) Claim() string {
	switch {
	case s.spec.Levels[levelRead] == eventual:
		return ""
	case s.spec.Topology == topologyAlternator:
		return "regular"
	}
	return "linearizable"
}

// Isolation implements targets.Isolation. TransactGetItems and TransactWriteItems
// are serializable (Developer Guide, "DynamoDB transactions: how it works",
// "Isolation levels"); a transaction of ours reads by the one, and writes by the
// other under the condition that nothing has changed since.
func (s *service) Isolation() string {
	if s.spec.Levels[levelRead] == eventual || s.spec.Topology == topologyAlternator {
		return ""
	}
	return "serializable"
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

// table is the run's own.
func (s *service) table() string {
	return "capstan-" + notInNames.ReplaceAllString(s.spec.RunID, "-")
}

// askTimeout bounds one question to one node.
const askTimeout = 5 * time.Second

// ask makes sure that a node has the table, and that a write through it is read
// back.
func (s *service) ask(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := s.client(ctx, node)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := s.askTable(ctx, c); err != nil {
		return err
	}
	items := Items{c: c, table: s.table(), levels: map[string]string{levelRead: strong}}
	want := int(time.Now().UnixMilli())
	if err := items.put(ctx, key("ready", node), want); err != nil {
		return err
	}
	switch got, there, err := items.number(ctx, key("ready", node)); {
	case err != nil:
		return err
	case !there || got != want:
		return errors.New("a write is not read back")
	}
	return nil
}

// askTable is nil if the table can be used; it makes it if there is none.
func (s *service) askTable(ctx context.Context, c *client) error {
	got, err := c.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(s.table())})
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		return errors.Join(errors.New("the table is being made"), s.makeTable(ctx, c))
	case err != nil:
		return err
	case got.Table.TableStatus != types.TableStatusActive:
		return fmt.Errorf("the table is %s", got.Table.TableStatus)
	}
	return nil
}

func (s *service) makeTable(ctx context.Context, c *client) error {
	_, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(s.table()), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(partition), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(sorting), AttributeType: types.ScalarAttributeTypeN},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(partition), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(sorting), KeyType: types.KeyTypeRange},
		},
	})
	return err
}

func (s *service) dropTable(ctx context.Context, node string) error {
	c, err := s.client(ctx, node)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String(s.table())})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete table: %w", err)
	}
	return nil
}
