package dynamodb

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/capstan-dev/capstan/targets"
)

// accounts is the partition of the run's bank.
const accounts = "account"

// OpenAccounts implements bank.Store.
func (c *Conn) OpenAccounts(ctx context.Context, n, balance int) error {
	req := &dynamodb.TransactWriteItemsInput{}
	for i := range n {
		it := within(accounts, i)
		it[value] = number(balance)
		req.TransactItems = append(req.TransactItems, types.TransactWriteItem{Put: &types.Put{
			TableName: &c.table, Item: it, ConditionExpression: aws.String("attribute_not_exists(v)"),
		}})
	}
	_, err := c.c.TransactWriteItems(ctx, req)
	if unmetAt(err, 0) {
		return nil // there are accounts already
	}
	return classify(err)
}

// Transfer implements bank.Store: the condition reads the balance.
func (c *Conn) Transfer(ctx context.Context, from, to, amount int) (bool, error) {
	moved := item{":a": number(amount)}
	_, err := c.c.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: &types.Update{TableName: &c.table, Key: within(accounts, from), ExpressionAttributeValues: moved,
			UpdateExpression: aws.String("SET v = v - :a"), ConditionExpression: aws.String("v >= :a")}},
		{Update: &types.Update{TableName: &c.table, Key: within(accounts, to), ExpressionAttributeValues: moved,
			UpdateExpression: aws.String("SET v = v + :a"), ConditionExpression: aws.String("attribute_exists(v)")}},
	}})
	if unmetAt(err, 0) {
		return false, nil
	}
	return err == nil, classify(err)
}

// Balances implements bank.Store.
func (c *Conn) Balances(ctx context.Context) ([]int, error) {
	found, err := c.query(ctx, accounts)
	if err != nil {
		return nil, err
	}
	if c.levels[levelRead] != eventual && len(found) > 0 {
		// The query tells how many there are; a transaction what they have.
		cells := make([]cell, len(found))
		for i := range found {
			cells[i].key = within(accounts, i)
		}
		if found, err = c.together(ctx, cells); err != nil {
			return nil, err
		}
	}
	balances := make([]int, len(found))
	for i, it := range found {
		v, there, err := readNumber(it, value)
		if err != nil || !there {
			return nil, targets.NotApplied(errors.Join(errors.New("read balance"), err))
		}
		balances[i] = v
	}
	return balances, nil
}
