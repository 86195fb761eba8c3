package riak

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/capstan-dev/capstan/targets"
)

// errBetween is for a write with what was read before, which is not current any
// more: consensus refuses it.
var errBetween = targets.NotApplied(errors.New("another write came in between"))

// messageKept is how much of an answer's text an error quotes.
const messageKept = 200

// refusal is the error of an answer that is none of success.
func (a *answer) refusal() error {
	text := strings.Join(strings.Fields(string(a.body[:min(len(a.body), messageKept)])), " ")
	return fmt.Errorf("status %d: %s", a.status, text)
}

// wrote is nil for a write's success, and marks the answers that prove that
// nothing was written: those that refuse the request as such, consensus that
// found something newer, and too few nodes to begin with. All else leaves it
// open: "PW-value unsatisfied", "DW-value unsatisfied" and too many failures are
// told as well when some replicas have the write, and time-outs always are.
func (a *answer) wrote() error {
	switch a.status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusMultipleChoices:
		return nil
	case http.StatusPreconditionFailed:
		return errBetween
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusNotAcceptable, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUpgradeRequired:
		return targets.NotApplied(a.refusal())
	}
	if a.status >= http.StatusInternalServerError && bytes.Contains(a.body, []byte("insufficient_vnodes")) {
		return targets.NotApplied(a.refusal())
	}
	return a.refusal()
}
