package host_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/capstan-dev/capstan/cluster/agent/host"
)

// TestCode runs the machine code itself.
func TestCode(t *testing.T) {
	for _, tt := range []struct {
		offset  time.Duration
		elapsed time.Duration // since the clock was set
		drift   float64
	}{
		{0, 0, 0},
		{100 * time.Second, time.Hour, 0},
		{-100*time.Second - 999999999, 0, 0},
		{time.Hour, time.Hour, 1},
		{0, time.Hour, -0.5},
		{-30 * 365 * 24 * time.Hour, 24 * time.Hour, 0.001},
	} {
		now := time.Now()
		times, monotonic, err := host.Functions(now.Add(-tt.elapsed).UnixNano(), int64(tt.offset), int64(tt.drift*(1<<32)))
		must(t, err)
		want := now.Add(tt.offset + time.Duration(float64(tt.elapsed)*tt.drift))
		for i, got := range times {
			if diff := time.Unix(0, got).Sub(want); diff < -1100*time.Millisecond || diff > time.Second {
				t.Errorf("%+v: function %d is %v from what it should say", tt, i, diff)
			}
		}
		var ts unix.Timespec
		must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts))
		if diff := time.Duration(ts.Nano() - monotonic); diff < 0 || diff > time.Second {
			t.Errorf("%+v: the monotonic clock is %v off", tt, diff)
		}
	}
}

// TestPlace: where there is no room behind the vDSO's file, its section headers
// give theirs.
func TestPlace(t *testing.T) {
	for _, tt := range []struct {
		spare  int
		behind bool
	}{{host.BlockSize + 64, true}, {10, false}} {
		at, end, err := host.Place(tt.spare)
		must(t, err)
		if at < 0 || (at >= end) != tt.behind || at+host.BlockSize > end+tt.spare {
			t.Errorf("with %d bytes to spare behind %d: %d", tt.spare, end, at)
		}
	}
}
