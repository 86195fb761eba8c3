package dynamodb

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
)

// classify marks the errors that prove that a request had no effect: those by
// which DynamoDB rejects it (Developer Guide, "Error handling with DynamoDB":
// all have HTTP status 400). What it says of itself (status 500 and 503) leaves
// the outcome open, as do time-outs and lost connections.
func classify(err error) error {
	if err == nil || errors.Is(err, history.ErrNotApplied) {
		return err
	}
	var said smithy.APIError
	if errors.As(err, &said) && rejected(said.ErrorCode()) {
		return targets.NotApplied(err)
	}
	return err
}

func rejected(code string) bool {
	switch code {
	case "ConditionalCheckFailedException",
		"TransactionCanceledException", "TransactionConflictException",
		"ValidationException", "SerializationException", "IdempotentParameterMismatchException",
		"ResourceNotFoundException", "ResourceInUseException", "ItemCollectionSizeLimitExceededException",
		"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "LimitExceededException",
		"AccessDeniedException", "UnrecognizedClientException", "IncompleteSignatureException",
		"MissingAuthenticationTokenException", "InvalidSignatureException":
		return true
	}
	return false
}

// unmet says whether a condition did not hold, and returns the item that was
// found instead.
func unmet(err error) (found item, ok bool) {
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return failed.Item, true
	}
	return nil, false
}

// unmetAt says whether a transaction was cancelled because the condition of its
// i-th item did not hold.
func unmetAt(err error, i int) bool {
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) || i >= len(cancelled.CancellationReasons) {
		return false
	}
	code := cancelled.CancellationReasons[i].Code
	return code != nil && *code == "ConditionalCheckFailed"
}
