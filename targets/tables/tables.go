// Package tables runs the workloads' transactions on tables of SQL: appends,
// registers, predicates, transfers, counting and write skew. How a transaction begins and
// ends, and what is known after an error, is the target's, as is its dialect.
package tables

import (
	"context"
	"fmt"
	"strconv"

	"github.com/capstan-dev/capstan/targets"
)

// The levels of transactions.
const (
	LevelAppend = "append"
	LevelIndex  = "index"
	LevelSelect = "select"
)

// Levels are what a client of tables can choose.
func Levels() []targets.Level {
	return []targets.Level{
		{
			Name: LevelAppend, Doc: "how a transaction appends to a list: it lets the server concatenate, inserts a row with the next number, or reads, adds and writes back",
			Values: []string{"concat", "rows", "rmw"},
		},
		{
			Name: LevelIndex, Doc: "what transactions find rows by: the primary key, a secondary index, or a scan; values are looked for by index only if it is secondary",
			Values: []string{"primary", "secondary", "none"},
		},
		{
			Name: LevelSelect, Doc: "whether transactions that write lock what they read",
			Values: []string{"plain", "for-update"},
		},
	}
}

// Session is a connection of a target, which runs one transaction at a time. In
// a statement $1 is the first argument, as often as it stands there.
type Session struct {
	// Transact runs one transaction. do says whether it is to be committed;
	// after an error of do it certainly has no effect.
	Transact func(ctx context.Context, do func() (commit bool, err error)) error
	// Query reads a query's rows as text.
	Query func(ctx context.Context, sql string, args ...any) ([][]string, error)
	// Change makes a statement that writes, and returns how many rows it found.
	Change func(ctx context.Context, sql string, args ...any) (int64, error)
}

// Dialect is the statements that are not the same everywhere.
type Dialect struct {
	// Half reads the balances of the accounts whose number modulo 2 is $1.
	Half string
	// Count makes $2 the value of key $1 in the table monotonic.
	Count string
	// NextRow adds element $2 to list $1, as a row after those that it finds; by
	// which column is added to it.
	NextRow string
	// NewItem inserts the row of item $1 with the value $2, if there is none.
	NewItem string
	// Register, List and Item make $2 the value of row $1; Concat adds it to a
	// list.
	Register, List, Item, Concat Upsert
}

// Upsert changes a row's value, or makes the row.
type Upsert struct {
	// Update changes it if it is there; by which column it is found is added.
	Update string
	// Insert makes it, or changes the one with this primary key.
	Insert string
}

// Client runs transactions in a session.
type Client struct {
	session Session
	dialect Dialect
	levels  map[string]string
}

// New is a client at these levels.
func New(s Session, d Dialect, levels map[string]string) *Client { return &Client{s, d, levels} }

// by is the condition that finds the rows of key $1.
func (c *Client) by() string {
	switch c.levels[LevelIndex] {
	case "secondary":
		return " WHERE sk = $1"
	case "none":
		return " WHERE nk = $1"
	}
	return " WHERE pk = $1"
}

// locked is a query that locks what it reads, if the level says so.
func (c *Client) locked(sql string, writes bool) string {
	if writes && c.levels[LevelSelect] == "for-update" {
		return sql + " FOR UPDATE"
	}
	return sql
}

// numbers reads a query's first column.
func (c *Client) numbers(ctx context.Context, sql string, args ...any) ([]int, error) {
	rows, err := c.session.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	all := make([]int, len(rows))
	for i, row := range rows {
		if all[i], err = strconv.Atoi(row[0]); err != nil {
			return nil, fmt.Errorf("read number: %w", err)
		}
	}
	return all, nil
}

func (c *Client) change(ctx context.Context, sql string, args ...any) error {
	_, err := c.session.Change(ctx, sql, args...)
	return err
}
