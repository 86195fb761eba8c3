package dynamodb

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/ids"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

// Items is one process' connection to one node, for what works on single items.
// It is not dialled anew when it breaks; Closed tells, and whoever opened it
// opens another.
type Items struct {
	c      *client
	table  string
	levels map[string]string
}

var (
	_ register.Store = (*Items)(nil)
	_ set.Store      = (*Items)(nil)
	_ counter.Store  = (*Items)(nil)
	_ ids.Store      = (*Items)(nil)
)

// Close ends the connection without waiting for calls in flight.
func (c *Items) Close() error { return c.c.Close() }

// Closed is true once the connection is of no use any more.
func (c *Items) Closed() bool { return c.c.Closed() }

// The attributes of items: the two of their key, and the value.
const (
	partition = "p"
	sorting   = "s"
	value     = "v"
)

// item is what is stored: a key and attributes.
type item = map[string]types.AttributeValue

// key is that of an item that is alone in its partition.
func key(kind string, of any) item { return within(fmt.Sprintf("%s/%v", kind, of), 0) }

// within is the key of an item in a partition of several.
func within(of string, at int) item {
	return item{partition: &types.AttributeValueMemberS{Value: of}, sorting: number(at)}
}

func number(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.Itoa(n)}
}

// readNumber reads an attribute; there is false if the item lacks it.
func readNumber(it item, name string) (n int, there bool, err error) {
	v, ok := it[name]
	if !ok {
		return 0, false, nil
	}
	text, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, false, fmt.Errorf("attribute %s is no number", name)
	}
	n, err = strconv.Atoi(text.Value)
	return n, err == nil, err
}

func (c *Items) consistent() *bool { return aws.Bool(c.levels[levelRead] != eventual) }

// get reads an item; nil if there is none.
func (c *Items) get(ctx context.Context, k item) (item, error) {
	got, err := c.c.GetItem(ctx, &dynamodb.GetItemInput{TableName: &c.table, Key: k, ConsistentRead: c.consistent()})
	if err != nil {
		return nil, classify(err)
	}
	return got.Item, nil
}

// number reads an item's value.
func (c *Items) number(ctx context.Context, k item) (int, bool, error) {
	it, err := c.get(ctx, k)
	if err != nil {
		return 0, false, err
	}
	return readNumber(it, value)
}

// put writes an item's value.
func (c *Items) put(ctx context.Context, k item, v int) error {
	k[value] = number(v)
	_, err := c.c.PutItem(ctx, &dynamodb.PutItemInput{TableName: &c.table, Item: k})
	return classify(err)
}

// update is a request to change an item; the values are those of its
// expressions.
func (c *Items) update(k item, expression string, values item) *dynamodb.UpdateItemInput {
	return &dynamodb.UpdateItemInput{TableName: &c.table, Key: k, UpdateExpression: &expression, ExpressionAttributeValues: values}
}

// Read implements register.Store.
func (c *Items) Read(ctx context.Context, k int) (int, bool, error) {
	return c.number(ctx, key("register", k))
}

// Write implements register.Store.
func (c *Items) Write(ctx context.Context, k, v int) error {
	return c.put(ctx, key("register", k), v)
}

// CAS implements register.Store.
func (c *Items) CAS(ctx context.Context, k, old, new int) (register.Swap, error) {
	req := c.update(key("register", k), "SET v = :new", item{":new": number(new), ":old": number(old)})
	req.ConditionExpression = aws.String("v = :old")
	req.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	_, err := c.c.UpdateItem(ctx, req)
	if found, ok := unmet(err); ok {
		v, there, err := readNumber(found, value)
		if err != nil {
			return register.Swap{}, targets.NotApplied(err)
		}
		return register.Found(v, there), nil
	}
	return register.Swap{Done: err == nil}, classify(err)
}

// members is the partition of the run's set.
const members = "set"

// Add implements set.Store.
func (c *Items) Add(ctx context.Context, element int) error {
	if c.levels[levelSet] == attribute {
		set := &types.AttributeValueMemberNS{Value: []string{strconv.Itoa(element)}}
		_, err := c.c.UpdateItem(ctx, c.update(key(members, "all"), "ADD v :e", item{":e": set}))
		return classify(err)
	}
	return c.put(ctx, within(members, element), element)
}

// ReadAll implements set.Store.
func (c *Items) ReadAll(ctx context.Context) ([]int, error) {
	if c.levels[levelSet] == attribute {
		it, err := c.get(ctx, key(members, "all"))
		if err != nil {
			return nil, err
		}
		set, ok := it[value].(*types.AttributeValueMemberNS)
		if !ok {
			return []int{}, nil
		}
		return readNumbers(set.Value)
	}
	found, err := c.query(ctx, members)
	if err != nil {
		return nil, err
	}
	all := []int{}
	for _, it := range found {
		v, _, err := readNumber(it, value)
		if err != nil {
			return nil, targets.NotApplied(err)
		}
		all = append(all, v)
	}
	return all, nil
}

func readNumbers(texts []string) ([]int, error) {
	all := []int{}
	for _, t := range texts {
		v, err := strconv.Atoi(t)
		if err != nil {
			return nil, targets.NotApplied(fmt.Errorf("read element: %w", err))
		}
		all = append(all, v)
	}
	return all, nil
}

// query reads all items of a partition, in as many requests as it takes.
func (c *Items) query(ctx context.Context, of string) ([]item, error) {
	req := &dynamodb.QueryInput{
		TableName: &c.table, ConsistentRead: c.consistent(), KeyConditionExpression: aws.String("p = :p"),
		ExpressionAttributeValues: item{":p": &types.AttributeValueMemberS{Value: of}},
	}
	var all []item
	for {
		got, err := c.c.Query(ctx, req)
		if err != nil {
			return nil, classify(err)
		}
		all = append(all, got.Items...)
		if len(got.LastEvaluatedKey) == 0 {
			return all, nil
		}
		req.ExclusiveStartKey = got.LastEvaluatedKey
	}
}

// AddTo implements counter.Store.
func (c *Items) AddTo(ctx context.Context, delta int) error {
	_, err := c.increase(ctx, key("counter", "all"), delta)
	return err
}

// Get implements counter.Store.
func (c *Items) Get(ctx context.Context) (int, error) {
	n, _, err := c.number(ctx, key("counter", "all"))
	return n, err
}

// NextID implements ids.Store.
func (c *Items) NextID(ctx context.Context) (string, error) {
	n, err := c.increase(ctx, key("id", "last"), 1)
	return strconv.Itoa(n), err
}

// increase adds to an item's value and returns the sum.
func (c *Items) increase(ctx context.Context, k item, delta int) (int, error) {
	req := c.update(k, "ADD v :d", item{":d": number(delta)})
	req.ReturnValues = types.ReturnValueUpdatedNew
	got, err := c.c.UpdateItem(ctx, req)
	if err != nil {
		return 0, classify(err)
	}
	n, _, err := readNumber(got.Attributes, value)
	return n, err
}
