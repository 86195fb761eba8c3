package dynamodb

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/capstan-dev/capstan/workloads/lock"
)

var _ lock.Store = (*Items)(nil)

// Acquire implements lock.Store, as clients of DynamoDB do: an item with an
// owner and the end of the lease, by the clients' clocks, taken by a condition.
// Whoever gets it counts up its token.
func (c *Items) Acquire(ctx context.Context, k int, owner string, lease time.Duration) (int64, bool, error) {
	now := time.Now()
	req := c.update(key("lock", k), "SET holder = :o, lease_end = :end ADD fence :one", item{
		":o": &types.AttributeValueMemberS{Value: owner}, ":one": number(1),
		":now": number(int(now.UnixMilli())), ":end": number(int(now.Add(lease).UnixMilli())),
	})
	req.ConditionExpression = aws.String("attribute_not_exists(holder) OR lease_end < :now")
	req.ReturnValues = types.ReturnValueUpdatedNew
	got, err := c.c.UpdateItem(ctx, req)
	if _, taken := unmet(err); taken {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, classify(err)
	}
	if c.levels[levelFence] == off {
		return 0, true, nil
	}
	token, _, err := readNumber(got.Attributes, "fence")
	return int64(token), true, err
}

// Release implements lock.Store.
func (c *Items) Release(ctx context.Context, k int, owner string) error {
	req := c.update(key("lock", k), "REMOVE holder, lease_end", item{":o": &types.AttributeValueMemberS{Value: owner}})
	req.ConditionExpression = aws.String("holder = :o")
	_, err := c.c.UpdateItem(ctx, req)
	if _, another := unmet(err); another {
		return nil
	}
	return classify(err)
}

// Load implements lock.Store.
func (c *Items) Load(ctx context.Context, k int) ([]int, error) {
	it, err := c.get(ctx, key("locked", k))
	if err != nil {
		return nil, err
	}
	return readList(it)
}

// Save implements lock.Store.
func (c *Items) Save(ctx context.Context, k int, list []int, token int64) (bool, error) {
	values := item{":v": writeList(list)}
	req := c.update(key("locked", k), "SET v = :v", values)
	if token != 0 {
		values[":t"] = number(int(token))
		req.UpdateExpression = aws.String("SET v = :v, fence = :t")
		req.ConditionExpression = aws.String("attribute_not_exists(fence) OR fence <= :t")
	}
	_, err := c.c.UpdateItem(ctx, req)
	if _, stale := unmet(err); stale {
		return false, nil
	}
	return err == nil, classify(err)
}

func writeList(list []int) types.AttributeValue {
	l := &types.AttributeValueMemberL{Value: []types.AttributeValue{}}
	for _, v := range list {
		l.Value = append(l.Value, number(v))
	}
	return l
}

// readList reads an item's value; there is an empty list in an item that is not.
func readList(it item) ([]int, error) {
	l, ok := it[value].(*types.AttributeValueMemberL)
	if !ok {
		return []int{}, nil
	}
	texts := make([]string, len(l.Value))
	for i, v := range l.Value {
		n, ok := v.(*types.AttributeValueMemberN)
		if !ok {
			n = &types.AttributeValueMemberN{Value: "of another type: " + strconv.Itoa(i)}
		}
		texts[i] = n.Value
	}
	return readNumbers(texts)
}
