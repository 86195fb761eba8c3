package tables_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/tables"
	"github.com/capstan-dev/capstan/workloads/predicate"
	"github.com/capstan-dev/capstan/workloads/txn"
)

// script is a session that notes what it is asked, and answers what it is told.
type script struct {
	said  []string
	rows  map[string][][]string // by the beginning of a query
	found map[string]int64      // rows, by the beginning of a statement that writes; 1 if not given
	err   error                 // of every statement
}

func (s *script) note(sql string, args []any) { s.said = append(s.said, fmt.Sprint(sql, " ", args)) }

func (s *script) session() tables.Session {
	return tables.Session{
		Transact: func(_ context.Context, do func() (bool, error)) error {
			commit, err := do()
			if commit && err == nil {
				s.said = append(s.said, "commit")
			} else {
				s.said = append(s.said, "rollback")
			}
			return err
		},
		Query: func(_ context.Context, sql string, args ...any) ([][]string, error) {
			s.note(sql, args)
			return longest(s.rows, sql), s.err
		},
		Change: func(_ context.Context, sql string, args ...any) (int64, error) {
			s.note(sql, args)
			for begin, n := range s.found {
				if strings.HasPrefix(sql, begin) {
					return n, s.err
				}
			}
			return 1, s.err
		},
	}
}

// longest is the answer to the longest of the beginnings that a statement has.
func longest(rows map[string][][]string, sql string) [][]string {
	best := ""
	for begin := range rows {
		if strings.HasPrefix(sql, begin) && len(begin) > len(best) {
			best = begin
		}
	}
	return rows[best]
}

func (s *script) client(levels ...string) *tables.Client {
	at := map[string]string{}
	for _, l := range levels {
		name, value, _ := strings.Cut(l, "=")
		at[name] = value
	}
	up := func(what string) tables.Upsert {
		return tables.Upsert{Update: "update " + what, Insert: "upsert " + what}
	}
	return tables.New(s.session(), tables.Dialect{
		NextRow: "next", NewItem: "new item", Register: up("register"), List: up("list"), Concat: up("concat"), Item: up("item"),
	}, at)
}

func (s *script) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.said, want) {
		t.Errorf("said\n\t%s\nwant\n\t%s", strings.Join(s.said, "\n\t"), strings.Join(want, "\n\t"))
	}
	s.said = nil
}

func TestWays(t *testing.T) {
	s := &script{rows: map[string][][]string{"SELECT v FROM lists": {{"3,4"}}}}
	do := func(levels ...string) []txn.Mop {
		t.Helper()
		got, err := s.client(levels...).AppendTxn(t.Context(), []txn.Mop{{F: "append", Key: 7, Value: 5}, {F: "r", Key: 8}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := do("append=concat", "index=primary", "select=plain"); !slices.Equal(got[1].List, []int{3, 4}) {
		t.Errorf("read %v", got[1].List)
	}
	s.want(t, "upsert concat [7 5]", "SELECT v FROM lists WHERE pk = $1 [8]", "commit")
	do("append=rmw", "index=secondary", "select=for-update")
	s.want(t, "SELECT v FROM lists WHERE sk = $1 FOR UPDATE [7]", "update list WHERE sk = $1 [7 3,4,5]",
		"SELECT v FROM lists WHERE sk = $1 FOR UPDATE [8]", "commit")
	do("append=rows", "index=none")
	s.want(t, "next WHERE nk = $1 [7 5]", "SELECT v FROM list_rows WHERE nk = $1 ORDER BY i [8]", "commit")
	s.found = map[string]int64{"update": 0}
	do("append=concat", "index=none")
	s.want(t, "update concat WHERE nk = $1 [7 5]", "upsert concat [7 5]", "SELECT v FROM lists WHERE nk = $1 [8]", "commit")
}

func TestPredicates(t *testing.T) {
	s := &script{rows: map[string][][]string{
		"SELECT pk, v FROM items": {{"1", "10"}, {"2", "20"}}, "SELECT v FROM items": {{"10"}},
	}}
	mops := []predicate.Mop{
		{F: "insert", Key: 1, Value: 10}, {F: "w", Key: 2, Value: 20}, {F: "r", Key: 1},
		{F: "rp", Test: predicate.Test{F: "true"}}, {F: "rp", Test: predicate.Test{F: "=", Value: 10}}, {F: "delete", Key: 3},
		{F: "rp", Test: predicate.Test{F: "mod", Modulus: 5, Value: 0}},
	}
	got, err := s.client("index=primary").PredicateTxn(t.Context(), slices.Clone(mops))
	if err != nil || !got[2].Known || got[2].Value != 10 || !maps.Equal(got[3].Found, map[int]int{1: 10, 2: 20}) {
		t.Errorf("%+v, %v", got, err)
	}
	s.want(t, "new item [1 10]", "upsert item [2 20]", "SELECT v FROM items WHERE pk = $1 [1]", "SELECT pk, v FROM items []",
		"SELECT pk, v FROM items WHERE v = $1 [10]", "DELETE FROM items WHERE pk = $1 [3]", "SELECT pk, v FROM items WHERE v % $1 = $2 [5 0]", "commit")
	if _, err := s.client("index=secondary", "select=for-update").PredicateTxn(t.Context(), slices.Clone(mops[4:6])); err != nil {
		t.Error(err)
	}
	s.want(t, "SELECT pk, iv FROM items WHERE iv = $1 FOR UPDATE [10]", "DELETE FROM items WHERE sk = $1 [3]", "commit")
}

// TestUnmet: what is not as a transaction wants it rolls it back, and is told
// apart from an error, whatever was done before.
func TestUnmet(t *testing.T) {
	for f, statement := range map[string]string{"insert": "new item", "delete": "DELETE"} {
		s := &script{found: map[string]int64{statement: 0}}
		mops := []predicate.Mop{{F: "w", Key: 1, Value: 1}, {F: f, Key: 2, Value: 2}, {F: "w", Key: 3, Value: 3}}
		if _, err := s.client().PredicateTxn(t.Context(), mops); !errors.Is(err, history.ErrUnmet) {
			t.Errorf("%s: %v", f, err)
		}
		if len(s.said) != 3 || s.said[2] != "rollback" {
			t.Errorf("%s: said %q", f, s.said)
		}
		s.err = errors.New("who knows")
		if _, err := s.client().PredicateTxn(t.Context(), mops); !errors.Is(err, s.err) || errors.Is(err, history.ErrUnmet) {
			t.Errorf("%s: %v, want %v", f, err, s.err)
		}
	}
}
