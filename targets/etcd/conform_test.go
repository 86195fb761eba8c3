package etcd_test

import (
	"testing"

	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/etcd"
)

func TestConform(t *testing.T) {
	t.Run("v3.7", func(t *testing.T) { conform.Run(t, etcd.Target{}, "v3.7", "fencing=token") })
	t.Run("v3.4", func(t *testing.T) { conform.Run(t, etcd.Target{}, "v3.4", "fsync=unsafe-never") })
}
