package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
)

var errNobodyWaits = errors.New("nobody waits for standbys")

func (c *Conn) signal(ctx context.Context, function string) error {
	row, err := c.s.row(ctx, "SELECT count("+function+"(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	if err == nil && row[0] == "0" {
		err = errNobodyWaits
	}
	return err
}

// CancelSyncWaits cancels every statement that waits for a synchronous
// standby; an error if there is none.
func (c *Conn) CancelSyncWaits(ctx context.Context) error { return c.signal(ctx, "pg_cancel_backend") }

// TerminateSyncWaits ends their connections.
func (c *Conn) TerminateSyncWaits(ctx context.Context) error {
	return c.signal(ctx, "pg_terminate_backend")
}

// Classify is the mapping of errors.
func Classify(err error) error { return classify(err) }

// LocalImage is the image that is built where there is no registry.
func LocalImage() docker.Image {
	img := image()
	img.Ref = ""
	return img
}

// ClockOffset is how far the session's server process is from this one's time.
func (c *Conn) ClockOffset(ctx context.Context) (time.Duration, error) {
	row, err := c.s.row(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
	if err != nil {
		return 0, err
	}
	micros, err := strconv.ParseInt(row[0], 10, 64)
	return time.Until(time.UnixMicro(micros)), err
}

// At is the same connection at other levels.
func (c *Conn) At(levels map[string]string) *Conn { return newConn(c.s, c.node, levels) }
