package riak_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/riak"
)

var resolves = []string{"siblings", "lww", "crdt", "strong"}

// levels are the defaults, with that way to resolve conflicts.
func levels(t *testing.T, resolve string) map[string]string {
	t.Helper()
	return conform.Request(t, riak.Target{}, "cluster", "resolve="+resolve).Levels
}

func open(t *testing.T, s *server) *riak.Conn {
	t.Helper()
	c, err := riak.Dial(conform.Within(t, time.Second), s.addr, levels(t, s.resolve))
	conform.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestVerbs(t *testing.T) {
	for _, resolve := range resolves {
		t.Run(resolve, func(t *testing.T) {
			s := serve(t, resolve)
			c, ctx := open(t, s), conform.Within(t, 5*time.Second)
			if v, ok, err := c.Read(ctx, 1); ok || err != nil {
				t.Errorf("read of what is absent: %d, %t, %v", v, ok, err)
			}
			conform.Must(t, c.Write(ctx, 1, 4))
			conform.Must(t, c.Write(ctx, 1, 3))
			if v, ok, err := c.Read(ctx, 1); v != 3 || !ok || err != nil {
				t.Errorf("read %d, %t, %v; want 3", v, ok, err)
			}
			if all, err := c.ReadAll(ctx); len(all) != 0 || err != nil {
				t.Errorf("the set is %v, %v at first", all, err)
			}
			conform.Must(t, c.Add(ctx, 7))
			conform.Must(t, c.Add(ctx, 5))
			if all, err := c.ReadAll(ctx); !slices.Equal(all, []int{5, 7}) || err != nil {
				t.Errorf("the set is %v, %v", all, err)
			}
			if n, err := c.Get(ctx); n != 0 || err != nil {
				t.Errorf("the counter is %d, %v at first", n, err)
			}
			conform.Must(t, c.AddTo(ctx, 2))
			conform.Must(t, c.AddTo(ctx, 3))
			if n, err := c.Get(ctx); n != 5 || err != nil {
				t.Errorf("the counter is %d, %v", n, err)
			}
			if s.dialled != 1 {
				t.Errorf("%d connections were made, want one", s.dialled)
			}
		})
	}
}

// TestQuorums: requests say how many replicas are to answer.
func TestQuorums(t *testing.T) {
	s := serve(t, "lww")
	l := levels(t, "lww")
	l["r"], l["pr"], l["w"], l["pw"], l["dw"] = "1", "2", "one", "quorum", "all"
	c, err := riak.Dial(conform.Within(t, time.Second), s.addr, l)
	conform.Must(t, err)
	defer c.Close()
	conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 1))
	_, _, err = c.Read(conform.Within(t, time.Second), 1)
	conform.Must(t, err)
	if got := s.quorums[0].Encode() + " " + s.quorums[1].Encode(); got != "dw=all&pw=quorum&w=one pr=2&r=1" {
		t.Errorf("asked with %s", got)
	}
}

// TestConflicts: two read the same and write.
func TestConflicts(t *testing.T) {
	for resolve, want := range map[string][]int{"siblings": {1, 2, 3}, "lww": {1, 3}} {
		s := serve(t, resolve)
		c, ctx := open(t, s), conform.Within(t, 5*time.Second)
		conform.Must(t, c.Add(ctx, 1))
		const key = "capstan/sets/0"
		before := *s.objects[key]
		conform.Must(t, c.Add(ctx, 2))
		if resolve == "siblings" {
			s.objects[key].values = append(s.objects[key].values, "1,3") // written with the context of before
		} else {
			s.objects[key].values = []string{"1,3"}
		}
		if all, err := c.ReadAll(ctx); !slices.Equal(all, want) || err != nil {
			t.Errorf("%s: %v, %v, want %v", resolve, all, err, want)
		}
		conform.Must(t, c.Add(ctx, 4))
		if n := len(s.objects[key].values); n != 1 || before.version == s.objects[key].version {
			t.Errorf("%s: a write with the context of all siblings leaves %d", resolve, n)
		}
	}
}

func TestGreatestSibling(t *testing.T) {
	s := serve(t, "siblings")
	s.objects["capstan/registers/1"] = &stored{values: []string{"9", "10"}, version: 2}
	if v, ok, err := open(t, s).Read(conform.Within(t, time.Second), 1); v != 10 || !ok || err != nil {
		t.Errorf("read %d, %t, %v; want 10", v, ok, err)
	}
}

func TestCAS(t *testing.T) {
	for _, resolve := range resolves {
		s := serve(t, resolve)
		c, ctx := open(t, s), conform.Within(t, 5*time.Second)
		conform.Must(t, c.Write(ctx, 1, 4))
		swap, err := c.CAS(ctx, 1, 4, 5)
		if resolve != "strong" {
			if !errors.Is(err, history.ErrNotOffered) {
				t.Errorf("%s: %v", resolve, err)
			}
			continue
		}
		if !swap.Done || err != nil {
			t.Errorf("%+v, %v", swap, err)
		}
		if swap, err := c.CAS(ctx, 1, 4, 6); swap.Done || !swap.Known || swap.Value != 5 || err != nil {
			t.Errorf("another value: %+v, %v", swap, err)
		}
		if swap, err := c.CAS(ctx, 2, 4, 6); swap.Done || !swap.Absent || err != nil {
			t.Errorf("no value: %+v, %v", swap, err)
		}
	}
}

// TestBetween: consensus refuses a write whose context is not current.
func TestBetween(t *testing.T) {
	s := serve(t, "strong")
	c, ctx := open(t, s), conform.Within(t, 5*time.Second)
	conform.Must(t, c.Write(ctx, 1, 4))
	another := func() { *s.objects["capstan/registers/1"] = stored{values: []string{"9"}, version: 7} }
	for what, call := range map[string]func() error{
		"write":           func() error { return c.Write(ctx, 1, 5) },
		"compare-and-set": func() error { _, err := c.CAS(ctx, 1, 9, 6); return err },
	} {
		s.objects["capstan/registers/1"].version++
		s.afterGet = another
		if err := call(); !errors.Is(err, history.ErrNotApplied) {
			t.Errorf("%s: %v", what, err)
		}
		if v, _, err := c.Read(ctx, 1); v != 9 || err != nil {
			t.Errorf("after a %s that was refused: %d, %v", what, v, err)
		}
	}
}

func TestAnswersToWrites(t *testing.T) {
	for _, tt := range []struct {
		status   int
		body     string
		definite bool
	}{
		{400, "w query parameter must be an integer", true},
		{400, "Specified w/dw/pw values invalid for bucket n value of 3", true},
		{403, "bucket is not writable", true},
		{404, "Unknown bucket type: capstan", true},
		{412, "", true},
		{413, "too large", true},
		{415, "no content type", true},
		{500, "Error:\n{insufficient_vnodes,1,need,2}", true},
		{503, "{insufficient_vnodes,0,need,1}", true},

		{503, "PW-value unsatisfied: 1/2\n", false},
		{503, "DW-value unsatisfied: 1/2\n", false},
		{503, "Too Many write failures to satisfy W/DW\n", false},
		{503, "request timed out", false},
		{503, "Unable to connect to Riak", false},
		{500, "Error:\n{error,timeout}", false},
		{408, "", false},
		{409, "", false},
		{302, "", false},
	} {
		err := riak.Wrote(tt.status, tt.body)
		if err == nil || errors.Is(err, history.ErrNotApplied) != tt.definite {
			t.Errorf("%d %q becomes %v, want it definite: %t", tt.status, tt.body, err, tt.definite)
		}
	}
	for _, ok := range []int{200, 201, 204} {
		if err := riak.Wrote(ok, ""); err != nil {
			t.Errorf("%d becomes %v", ok, err)
		}
	}
}

// TestReadsThatAreAnswered with an error have certainly done nothing.
func TestReadsThatAreAnswered(t *testing.T) {
	for _, resolve := range resolves {
		s := serve(t, resolve)
		c := open(t, s)
		for _, f := range []failure{
			{status: 503, body: "PR-value unsatisfied: 1/2\n"}, {status: 503, body: "request timed out"}, {status: 500, body: "Error:"},
			{status: 404, body: "Unknown bucket type: capstan"},
		} {
			s.failNext(f)
			if _, _, err := c.Read(conform.Within(t, time.Second), 1); !errors.Is(err, history.ErrNotApplied) {
				t.Errorf("%s: %d %s becomes %v", resolve, f.status, f.body, err)
			}
		}
	}
}

// TestLostAnswer: the call was made once, its outcome is unknown, and the
// connection is of no use any more.
func TestLostAnswer(t *testing.T) {
	for _, resolve := range []string{"lww", "crdt"} { // whose calls are one request
		for _, how := range []string{"cut", "silent"} {
			t.Run(resolve+" "+how, func(t *testing.T) {
				s := serve(t, resolve)
				c := open(t, s)
				conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 1))
				f := failure{execute: true}
				if how == "silent" {
					f.wait = make(chan struct{})
					defer close(f.wait)
				}
				s.failNext(f)
				began := time.Now()
				err := c.Write(conform.Within(t, 200*time.Millisecond), 1, 2)
				if err == nil || errors.Is(err, history.ErrNotApplied) || time.Since(began) > time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if !c.Closed() {
					t.Error("the connection is still open")
				}
				if err := c.Write(conform.Within(t, time.Second), 1, 3); !errors.Is(err, history.ErrNotApplied) {
					t.Errorf("on a closed connection: %v", err)
				}
				if v, _, err := open(t, s).Read(conform.Within(t, time.Second), 1); v != 2 || err != nil {
					t.Errorf("read %d, %v", v, err)
				}
				if n := len(s.asked); n != 3 || s.dialled != 2 {
					t.Errorf("%d requests on %d connections: %s", n, s.dialled, strings.Join(s.asked, "; "))
				}
			})
		}
	}
}

// TestOpen: who does not answer is not there.
func TestOpen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	conform.Must(t, err)
	defer l.Close()
	if _, err := riak.Dial(conform.Within(t, 100*time.Millisecond), l.Addr().String(), levels(t, "lww")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial: %v", err)
	}
}

func TestBucketTypes(t *testing.T) {
	for resolve, want := range map[string]string{
		"siblings": "capstan", "lww": "capstan", "strong": "capstan", "crdt": "capstan-counter capstan-map capstan-set",
	} {
		var names []string
		for name, props := range riak.BucketTypes(levels(t, resolve)) {
			names = append(names, name)
			if props["n_val"] == nil || len(props) < 2 {
				t.Errorf("%s: properties %v", name, props)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: types %s, want %s", resolve, got, want)
		}
	}
}
