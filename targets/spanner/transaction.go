package spanner

import (
	"context"
	"fmt"

	pb "cloud.google.com/go/spanner/apiv1/spannerpb"

	"github.com/capstan-dev/capstan/targets"
)

// transaction reads with locks, and writes when it is committed. It begins with
// its first read; one that has none is a single request.
type transaction struct {
	c      *Conn
	id     []byte
	writes []*pb.Mutation
	dml    bool // a statement has written
}

// transact runs one transaction. Until its commit is sent it certainly has no
// effect.
func (c *Conn) transact(ctx context.Context, do func(*transaction) error) error {
	t := &transaction{c: c}
	if err := do(t); err != nil {
		t.rollback(ctx)
		return targets.NotApplied(err)
	}
	return t.commit(ctx)
}

func readWrite() *pb.TransactionOptions {
	return &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadWrite_{ReadWrite: &pb.TransactionOptions_ReadWrite{}}}
}

// selector is the transaction, for a request; the first one begins it.
func (t *transaction) selector() *pb.TransactionSelector {
	if t.id == nil {
		return &pb.TransactionSelector{Selector: &pb.TransactionSelector_Begin{Begin: readWrite()}}
	}
	return &pb.TransactionSelector{Selector: &pb.TransactionSelector_Id{Id: t.id}}
}

// begun takes the transaction's identity from an answer.
func (t *transaction) begun(got *pb.ResultSet, err error) (*pb.ResultSet, error) {
	if id := got.GetMetadata().GetTransaction().GetId(); len(id) > 0 {
		t.id = id
	}
	if err == nil && t.id == nil {
		err = fmt.Errorf("the server began no transaction")
	}
	return got, err
}

// rows reads the rows of keys. It does not see what the transaction writes.
func (t *transaction) rows(ctx context.Context, table string, keys *pb.KeySet) ([]row, error) {
	return t.read(ctx, table, "", keys)
}

// byValue reads the rows that have a value, by the table's index.
func (t *transaction) byValue(ctx context.Context, table string, value int) ([]row, error) {
	return t.read(ctx, table, table+"_by_v", keySet(value))
}

func (t *transaction) read(ctx context.Context, table, index string, keys *pb.KeySet) ([]row, error) {
	if t.c.Closed() {
		return nil, targets.ErrClosed
	}
	got, err := t.begun(t.c.ch.Read(ctx, &pb.ReadRequest{
		Session: t.c.session, Table: table, Index: index, Columns: columns(), KeySet: keys, Transaction: t.selector(),
	}))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", table, err)
	}
	return rows(got)
}

// number reads the value of a key; there is none if ok is false.
func (t *transaction) number(ctx context.Context, table string, key int) (v int, ok bool, err error) {
	rs, err := t.rows(ctx, table, keySet(key))
	if err != nil || len(rs) == 0 {
		return 0, false, err
	}
	v, err = rs[0].number()
	return v, true, err
}

// change runs a statement that writes. A transaction of ours has one at most, so
// that they need no numbers of their own.
func (t *transaction) change(ctx context.Context, sql string) (*pb.ResultSet, error) {
	if t.c.Closed() {
		return nil, targets.ErrClosed
	}
	t.dml = true
	return t.begun(t.c.ch.ExecuteSql(ctx, &pb.ExecuteSqlRequest{
		Session: t.c.session, Sql: sql, Transaction: t.selector(), Seqno: 1,
	}))
}

func (t *transaction) write(ms ...*pb.Mutation) { t.writes = append(t.writes, ms...) }

// commit makes the writes, all or none.
func (t *transaction) commit(ctx context.Context) error {
	if t.c.Closed() {
		return targets.ErrClosed
	}
	req := &pb.CommitRequest{Session: t.c.session, Mutations: t.writes}
	if t.id != nil {
		req.Transaction = &pb.CommitRequest_TransactionId{TransactionId: t.id}
	} else {
		req.Transaction = &pb.CommitRequest_SingleUseTransaction{SingleUseTransaction: readWrite()}
	}
	_, err := t.c.ch.Commit(ctx, req)
	switch {
	case err == nil:
		return nil
	case len(t.writes) == 0 && !t.dml:
		return targets.NotApplied(fmt.Errorf("commit what was read: %w", err))
	}
	return classify(fmt.Errorf("commit: %w", err))
}

// rollback ends a transaction after an error, if there is still time. Otherwise
// the session's next one ends it, or the server.
func (t *transaction) rollback(ctx context.Context) {
	if t.id != nil && ctx.Err() == nil && !t.c.Closed() {
		// That it fails changes nothing: without a commit there is no effect.
		_, _ = t.c.ch.Rollback(ctx, &pb.RollbackRequest{Session: t.c.session, TransactionId: t.id})
	}
}
