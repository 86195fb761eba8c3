package riak

import "context"

// Dial connects to a server at an address.
func Dial(ctx context.Context, addr string, levels map[string]string) (*Conn, error) {
	w, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &Conn{w, levels}, nil
}

// Wrote is the error of an answer to a write.
func Wrote(status int, body string) error {
	return (&answer{status: status, body: []byte(body)}).wrote()
}

// BucketTypes are the properties of a level's bucket types.
func BucketTypes(levels map[string]string) map[string]map[string]any { return bucketTypes(levels) }
