package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/dynamodb"
)

func TestClassify(t *testing.T) {
	said := func(code string) error {
		return &smithy.OperationError{ServiceID: "DynamoDB", Err: &smithy.GenericAPIError{Code: code}}
	}
	for _, tt := range []struct {
		name     string
		err      error
		definite bool
	}{
		{"condition", fmt.Errorf("x: %w", &types.ConditionalCheckFailedException{}), true},
		{"cancelled transaction", &types.TransactionCanceledException{}, true},
		{"conflict with a transaction", &types.TransactionConflictException{}, true},
		{"transaction of the same token is under way", &types.TransactionInProgressException{}, false},
		{"no such table", &types.ResourceNotFoundException{}, true},
		{"throughput exceeded", &types.ProvisionedThroughputExceededException{}, true},
		{"throttled", said("ThrottlingException"), true},
		{"invalid", said("ValidationException"), true},
		{"access denied", said("AccessDeniedException"), true},
		{"internal error", &types.InternalServerError{}, false},
		{"unavailable", said("ServiceUnavailable"), false},
		{"unheard of", said("SomethingElse"), false},
		{"connection lost", io.ErrUnexpectedEOF, false},
		{"deadline", context.DeadlineExceeded, false},
		{"network timeout", os.ErrDeadlineExceeded, false},
	} {
		got := dynamodb.Classify(tt.err)
		if errors.Is(got, history.ErrNotApplied) != tt.definite || !errors.Is(got, tt.err) {
			t.Errorf("%s: %v, want definite %t", tt.name, got, tt.definite)
		}
	}
	if err := dynamodb.Classify(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}

func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:8000":                       "127.0.0.1:8000",
		"http://db.example":                           "db.example:80",
		"https://dynamodb.eu-central-1.amazonaws.com": "dynamodb.eu-central-1.amazonaws.com:443",
		"https://[::1]:8443/x":                        "[::1]:8443",
		"":                                            "",
		"localhost:8000":                              "",
		"ftp://localhost":                             "",
		"https://":                                    "",
	} {
		got, err := dynamodb.ReadEndpoint(endpoint)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", endpoint, got, err, want)
		}
	}
}
