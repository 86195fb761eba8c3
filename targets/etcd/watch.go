package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/watch"
)

var _ watch.Store = (*Conn)(nil)

const watchedKey = "watched"

// watchFor is how long a watch waits for something new.
const watchFor = 200 * time.Millisecond

// WriteWatched implements watch.Store.
func (c *Conn) WriteWatched(ctx context.Context, v int) error {
	return c.put(ctx, watchedKey, strconv.Itoa(v))
}

// Watch implements watch.Store. It is a stream of its own: the client library's
// watcher would open another one when this breaks, and not tell.
func (c *Conn) Watch(ctx context.Context, after int64) ([]int, int64, error) {
	if c.Closed() {
		return nil, 0, targets.ErrClosed
	}
	events, err := c.events(ctx, after)
	if err != nil {
		return nil, 0, classify(fmt.Errorf("watch: %w", err))
	}
	var values []int
	for _, e := range events {
		v, _, err := number([]*mvccpb.KeyValue{e.Kv})
		if err != nil {
			return nil, 0, err
		}
		values, after = append(values, v), e.Kv.ModRevision
	}
	return values, after, nil
}

// events are the next ones after a revision; none if none came in time once the
// server had begun to watch. That time is not the stream's deadline: the server
// would be told, and might be first to say that it is over.
func (c *Conn) events(ctx context.Context, after int64) ([]*mvccpb.Event, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	stream, err := c.s.watch.Watch(watching)
	if err != nil {
		return nil, err
	}
	create := &pb.WatchCreateRequest{Key: []byte(watchedKey), StartRevision: after + 1}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return nil, err
	}
	for {
		resp, err := stream.Recv()
		switch {
		case err != nil && watching.Err() != nil && ctx.Err() == nil:
			return nil, nil // it watched, and nothing came
		case err != nil:
			return nil, err
		case resp.Canceled:
			return nil, errors.New(resp.CancelReason)
		case len(resp.Events) > 0:
			return resp.Events, nil
		case resp.Created:
			defer time.AfterFunc(watchFor, stop).Stop()
		}
	}
}
