package dynamodb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/capstan-dev/capstan/targets/oneconn"
)

// connect dials, with TLS if the URL says so.
func connect(ctx context.Context, address string, dial func(context.Context) (net.Conn, error)) (*oneconn.HTTP, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("read endpoint: %w", err)
	}
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname()})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secure
	}
	return oneconn.NewHTTP(conn), nil
}
