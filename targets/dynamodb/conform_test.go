package dynamodb_test

import (
	"testing"

	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/dynamodb"
)

func TestConform(t *testing.T) { conform.Run(t, dynamodb.Target{}, "local") }
func TestConformEventual(t *testing.T) {
	conform.Run(t, dynamodb.Target{}, "local", "read=eventual", "set=attribute", "fencing=off")
}
