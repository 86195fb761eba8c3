package cassandra_test

import (
	"testing"

	"github.com/capstan-dev/capstan/targets/cassandra"
	"github.com/capstan-dev/capstan/targets/conform"
)

func TestConform(t *testing.T) { conform.Run(t, cassandra.Target{}, "rf3") }
func TestConformPlain(t *testing.T) {
	conform.Run(t, cassandra.Target{}, "rf3", "read=QUORUM", "write=QUORUM", "cas=lwt", "set=collection", "timestamps=server")
}
func TestConformFive(t *testing.T) { conform.Run(t, cassandra.Target{}, "five") }
func TestConformDatacenters(t *testing.T) {
	conform.Run(t, cassandra.Target{}, "dcs", "read=LOCAL_SERIAL", "write=LOCAL_SERIAL")
}
