package riak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/capstan-dev/capstan/targets"
)

func dataPath(bucketType, bucket, key string) string {
	return "/types/" + bucketType + "/buckets/" + bucket + "/datatypes/" + key
}

// fetchData reads a value of a data type into v; ok is false if there is none.
func (c *Conn) fetchData(ctx context.Context, bucketType, bucket, key string, v any) (ok bool, err error) {
	a, err := c.do(ctx, http.MethodGet, dataPath(bucketType, bucket, key)+c.reads(), nil, nil)
	switch {
	case err != nil:
		return false, err
	case a.status == http.StatusNotFound:
		return false, absent(a)
	case a.status != http.StatusOK:
		return false, targets.NotApplied(a.refusal())
	}
	if err := json.Unmarshal(a.body, &struct{ Value any }{v}); err != nil {
		return false, targets.NotApplied(fmt.Errorf("read value: %w", err))
	}
	return true, nil
}

// update makes an operation on a value of a data type.
func (c *Conn) update(ctx context.Context, bucketType, bucket, key string, operation any) error {
	body, err := json.Marshal(operation)
	if err != nil {
		return targets.NotApplied(fmt.Errorf("encode operation: %w", err))
	}
	header := http.Header{"Content-Type": {"application/json"}}
	a, err := c.do(ctx, http.MethodPost, dataPath(bucketType, bucket, key)+c.writes(), header, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return a.wrote()
}
