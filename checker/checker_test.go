package checker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

type fake func(context.Context) (checker.Result, error)

func (fake) Name() string { return "fake" }

func (f fake) Check(ctx context.Context, _ *history.History) (checker.Result, error) { return f(ctx) }

func TestRunCannotLie(t *testing.T) {
	witness := []checker.Anomaly{{Kind: "lost"}}
	for _, c := range []struct {
		name            string
		f               fake
		verdict, reason string
	}{
		{"valid", func(context.Context) (checker.Result, error) { return checker.Result{Reason: "fine"}, nil }, "valid", "fine"},
		{"error", func(context.Context) (checker.Result, error) { return checker.Result{}, errors.New("no idea") }, "unknown", "no idea"},
		{"panic", func(context.Context) (checker.Result, error) { panic("oops") }, "unknown", "checker panicked: oops"},
		{"deadline", func(ctx context.Context) (checker.Result, error) { <-ctx.Done(); return checker.Result{}, ctx.Err() }, "unknown", "canceled"},
		{"no witness", func(context.Context) (checker.Result, error) {
			return checker.Result{Verdict: checker.Invalid, Reason: "bad"}, nil
		}, "unknown", "gave no witness: bad"},
		{"no reason", func(context.Context) (checker.Result, error) {
			return checker.Result{Verdict: checker.Unknown}, nil
		}, "unknown", "gave no reason"},
		{"witness before an error", func(context.Context) (checker.Result, error) {
			return checker.Result{Verdict: checker.Invalid, Reason: "lost", Anomalies: witness}, errors.New("deadline")
		}, "invalid", "lost (then stopped: deadline)"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		res := checker.Run(ctx, c.f, &history.History{})
		if res.Name != "fake" || res.Verdict.String() != c.verdict || !strings.Contains(res.Reason, c.reason) || res.Anomalies == nil {
			t.Errorf("%s: got %+v", c.name, res)
		}
	}
}

func TestWorst(t *testing.T) {
	v := func(vs ...checker.Verdict) (out []checker.Result) {
		for _, x := range vs {
			out = append(out, checker.Result{Verdict: x})
		}
		return out
	}
	for _, c := range []struct {
		in   []checker.Result
		want checker.Verdict
	}{
		{nil, checker.Unknown},
		{v(checker.Valid), checker.Valid},
		{v(checker.Valid, checker.Unknown), checker.Unknown},
		{v(checker.Invalid, checker.Unknown, checker.Valid), checker.Invalid},
	} {
		if got := checker.Worst(c.in); got != c.want {
			t.Errorf("%v: got %v", c.in, got)
		}
	}
}

func TestVerdictText(t *testing.T) {
	for _, v := range []checker.Verdict{checker.Valid, checker.Unknown, checker.Invalid} {
		b, err := v.MarshalText()
		var back checker.Verdict
		if err != nil || back.UnmarshalText(b) != nil || back != v {
			t.Errorf("%v does not come back: %v", v, back)
		}
	}
	var v checker.Verdict
	if err := v.UnmarshalText([]byte("maybe")); err == nil {
		t.Error("maybe is no verdict")
	}
}
