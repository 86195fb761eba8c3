package riak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/capstan-dev/capstan/targets"
)

const (
	headerContext = "X-Riak-Vclock"
	plain         = "text/plain"
)

// object is what a read found: no value if the key is absent, several if writes
// knew nothing of each other.
type object struct {
	values []string
	// context is the causal context, which a write must have that is to replace
	// these values.
	context string
}

// params are the request's quorums.
func (c *Conn) params(names ...string) string {
	q := url.Values{}
	for _, n := range names {
		q.Set(n, c.levels[n])
	}
	return "?" + q.Encode()
}

func (c *Conn) reads() string  { return c.params(levelR, levelPR) }
func (c *Conn) writes() string { return c.params(levelW, levelPW, levelDW) }

// fetch reads an object, with all its siblings at once. A read that was answered
// has told all that it will: it certainly has no effect.
func (c *Conn) fetch(ctx context.Context, bucket, key string) (object, error) {
	// Without siblings the value has its own type, which must be acceptable too.
	header := http.Header{"Accept": {"multipart/mixed, */*;q=0.5"}}
	a, err := c.do(ctx, http.MethodGet, objectPath(bucket, key)+c.reads(), header, nil)
	if err != nil {
		return object{}, err
	}
	o := object{context: a.header.Get(headerContext)}
	switch a.status {
	case http.StatusNotFound:
		return o, absent(a)
	case http.StatusOK:
		o.values = []string{string(a.body)}
		return o, nil
	case http.StatusMultipleChoices:
		if o.values, err = siblings(a); err != nil {
			return o, targets.NotApplied(err)
		}
		return o, nil
	}
	return o, targets.NotApplied(a.refusal())
}

// absent is nil if what is not found is the key, and not its bucket's type.
func absent(a *answer) error {
	if bytes.Contains(bytes.ToLower(a.body), []byte("bucket type")) {
		return targets.NotApplied(a.refusal())
	}
	return nil
}

// siblings reads the parts of a body with several values. A tombstone is none.
func siblings(a *answer) ([]string, error) {
	_, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return nil, fmt.Errorf("read siblings: %w", err)
	}
	var values []string
	for parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read siblings: %w", err)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, fmt.Errorf("read sibling: %w", err)
		}
		if part.Header.Get("X-Riak-Deleted") == "" {
			values = append(values, string(value))
		}
	}
}

// store writes an object, in the place of what the context knows.
func (c *Conn) store(ctx context.Context, bucket, key, value, causal string) error {
	header := http.Header{"Content-Type": {plain}}
	if causal != "" {
		header.Set(headerContext, causal)
	}
	a, err := c.do(ctx, http.MethodPut, objectPath(bucket, key)+c.writes(), header, strings.NewReader(value))
	if err != nil {
		return err
	}
	return a.wrote()
}

// change reads an object and writes back what becomes of it. It certainly had no
// effect if it could not read.
func (c *Conn) change(ctx context.Context, bucket, key string, to func(object) (string, error)) error {
	o, err := c.fetch(ctx, bucket, key)
	if err != nil {
		return targets.NotApplied(err)
	}
	value, err := to(o)
	if err != nil {
		return targets.NotApplied(err)
	}
	return c.store(ctx, bucket, key, value, o.context)
}

// The types of buckets: one for objects, and one for each data type.
const (
	typeObjects  = "capstan"
	typeSets     = "capstan-set"
	typeCounters = "capstan-counter"
	typeMaps     = "capstan-map"
)

func objectPath(bucket, key string) string {
	return "/types/" + typeObjects + "/buckets/" + bucket + "/keys/" + key
}
