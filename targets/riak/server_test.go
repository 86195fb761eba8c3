package riak_test

import (
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// server answers as Riak's documentation has it: objects with causal contexts
// and siblings, and data types.
type server struct {
	resolve string
	addr    string

	mu       sync.Mutex
	objects  map[string]*stored
	sets     map[string][]string
	counters map[string]int
	maps     map[string]map[string]string
	asked    []string     // "METHOD path?query"
	dialled  int          // connections
	fail     *failure     // of the next request but pings
	afterGet func()       // called once
	quorums  []url.Values // of all requests
}

type stored struct {
	values  []string
	version int
}

// failure is what happens instead of an answer.
type failure struct {
	execute bool
	status  int // 0: the connection is cut
	body    string
	wait    chan struct{} // if set, nothing is answered until it is closed
}

func serve(t *testing.T, resolve string) *server {
	t.Helper()
	s := &server{
		resolve: resolve, objects: map[string]*stored{}, sets: map[string][]string{}, counters: map[string]int{},
		maps: map[string]map[string]string{},
	}
	h := httptest.NewUnstartedServer(s)
	h.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dialled++
		}
	}
	h.Start()
	t.Cleanup(h.Close)
	s.addr = h.Listener.Addr().String()
	return s
}

func (s *server) failNext(f failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = &f
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ping" {
		io.WriteString(w, "OK")
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.quorums = append(s.quorums, r.URL.Query())
	f := s.fail
	s.fail = nil
	s.mu.Unlock()
	if f == nil {
		s.answer(w, r)
		return
	}
	if f.execute {
		s.answer(httptest.NewRecorder(), r)
	}
	switch {
	case f.wait != nil:
		<-f.wait
	case f.status == 0:
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	default:
		w.WriteHeader(f.status)
		io.WriteString(w, f.body)
	}
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/") // types T buckets B keys|datatypes K
	if len(p) != 6 || p[0] != "types" || p[2] != "buckets" {
		http.Error(w, "no such resource", http.StatusNotFound)
		return
	}
	key := p[1] + "/" + p[3] + "/" + p[5]
	switch {
	case p[4] == "datatypes" && s.resolve == "crdt":
		s.data(w, r, p[1], key)
	case p[4] == "keys" && p[1] == "capstan" && s.resolve != "crdt" && r.Method == http.MethodGet:
		s.get(w, r, key)
	case p[4] == "keys" && p[1] == "capstan" && s.resolve != "crdt" && r.Method == http.MethodPut:
		s.put(w, r, key)
	default:
		http.Error(w, "Unknown bucket type: "+p[1], http.StatusNotFound)
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request, key string) {
	o := s.objects[key]
	if o == nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Riak-Vclock", strconv.Itoa(o.version))
	if f := s.afterGet; f != nil {
		s.afterGet = nil
		o = &stored{slices.Clone(o.values), o.version}
		f()
	}
	if len(o.values) == 1 {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, o.values[0])
		return
	}
	if !strings.Contains(r.Header.Get("Accept"), "multipart/mixed") {
		w.WriteHeader(http.StatusMultipleChoices)
		io.WriteString(w, "Siblings:\n16vic4eU9ny46o4KPiDz1f\n")
		return
	}
	parts := multipart.NewWriter(w)
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
	w.WriteHeader(http.StatusMultipleChoices)
	for _, v := range o.values {
		part, _ := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"text/plain"}, "Etag": {"x" + v}})
		io.WriteString(part, v)
	}
	part, _ := parts.CreatePart(textproto.MIMEHeader{"X-Riak-Deleted": {"true"}})
	io.WriteString(part, "")
	parts.Close()
}

func (s *server) put(w http.ResponseWriter, r *http.Request, key string) {
	body, _ := io.ReadAll(r.Body)
	o := s.objects[key]
	if o == nil {
		o = &stored{}
		s.objects[key] = o
	}
	current := r.Header.Get("X-Riak-Vclock") == strconv.Itoa(o.version) || o.version == 0
	switch {
	case s.resolve == "strong" && !current:
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	case s.resolve == "siblings" && !current:
		o.values = append(o.values, string(body))
	default:
		o.values = []string{string(body)}
	}
	o.version++
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) data(w http.ResponseWriter, r *http.Request, bucketType, key string) {
	if r.Method == http.MethodPost {
		s.update(w, r, bucketType, key)
		return
	}
	kind := strings.TrimPrefix(bucketType, "capstan-")
	var value any
	switch kind {
	case "set":
		value = slices.Clone(s.sets[key])
	case "counter":
		value = s.counters[key]
	case "map":
		value = s.maps[key]
	}
	if text, _ := json.Marshal(value); string(text) == "null" || string(text) == "0" {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"type":%q,"error":"notfound"}`, kind)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"type": kind, "value": value, "context": "SwGDUAAAAER4ActgymFgYGDMYGBKYUABAA=="})
}

func (s *server) update(w http.ResponseWriter, r *http.Request, bucketType, key string) {
	var op struct {
		Add       string
		Increment int
		Update    map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&op); err != nil || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "Couldn't decode JSON", http.StatusBadRequest)
		return
	}
	switch bucketType {
	case "capstan-set":
		s.sets[key] = append(s.sets[key], op.Add)
	case "capstan-counter":
		s.counters[key] += op.Increment
	case "capstan-map":
		s.maps[key] = op.Update
	}
	w.WriteHeader(http.StatusNoContent)
}
