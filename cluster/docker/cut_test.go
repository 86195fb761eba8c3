package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// lineServer answers every line on port 8000 with the same, over IPv4 and
// IPv6.
const lineServer = `
use IO::Socket::IP; $SIG{CHLD} = 'IGNORE';
my $s = IO::Socket::IP->new(LocalHost => '::', LocalPort => 8000, Listen => 99, ReuseAddr => 1, V6Only => 0) or die "listen: $@";
while (my $c = $s->accept) { next if fork; $c->autoflush(1); while (<$c>) { print $c $_ } exit }
`

// lineClient connects, waits for the file /tmp/go, and says how it goes on
// then with the connection and with a new one.
const lineClient = `
use IO::Socket::IP; use IO::Select; $SIG{PIPE} = 'IGNORE';
my ($host, $go) = @ARGV;
sub dial { IO::Socket::IP->new(PeerHost => $host, PeerPort => 8000, Timeout => 1.5) }
sub talk {
	my $c = shift; $c->autoflush(1); print $c "hi\n";
	return 'timeout' unless IO::Select->new($c)->can_read(1.5);
	my $n = sysread $c, my $b, 10;
	return $n ? 'ok' : defined $n ? 'closed' : $!{ECONNRESET} ? 'reset' : "$!";
}
my $c = dial() or die "dial: $@"; talk($c) eq 'ok' or die "no echo"; $| = 1; print "ready\n";
select undef, undef, undef, 0.01 until -e $go;
my $est = talk($c);
my $new = dial(); my $how = $new ? talk($new) : $!{ECONNREFUSED} ? 'refused' : $!{ETIMEDOUT} || $@ =~ /timed? ?out/i ? 'timeout' : "$! $@";
print "established $est, new $how\n";
`

func lineNodes(t testing.TB, e *docker.Engine, n int) []docker.NodeSpec {
	nodes := serverNodes(t, e, n)
	for i := range nodes {
		nodes[i].Server.Files[0].Content = []byte(lineServer)
		nodes[i].Server.Files = append(nodes[i].Server.Files, docker.File{Path: "/srv/client.pl", Mode: 0o755, Content: []byte(lineClient)})
	}
	return nodes
}

// conversation is one from n1 to n2 that goes on when told.
type conversation struct {
	e      *docker.Engine
	id     string
	file   string
	result chan string
}

// converse lets n1 connect to an address; the client is connected on return.
func converse(t *testing.T, e *docker.Engine, c *docker.Cluster, to netip.Addr) conversation {
	t.Helper()
	v := conversation{e, c.Nodes[0].ServerID, fmt.Sprintf("/tmp/go-%d", time.Now().UnixNano()), make(chan string, 1)}
	ctx := t.Context()
	go func() {
		out, code, err := e.Exec(ctx, v.id, "sh", "-c", "perl /srv/client.pl "+to.String()+" "+v.file+" | tee "+v.file+".out")
		v.result <- fmt.Sprintf("%s(exit %d, %v)", out, code, err)
	}()
	until(t, 10*time.Second, func() error {
		if out, _, err := e.Exec(ctx, v.id, "cat", v.file+".out"); err != nil || !strings.Contains(out, "ready") {
			return fmt.Errorf("client is not connected: %s %v", out, err)
		}
		return nil
	})
	return v
}

// goOn lets it continue, and returns what it saw.
func (v conversation) goOn(t *testing.T) string {
	t.Helper()
	if out, code, err := v.e.Exec(t.Context(), v.id, "touch", v.file); err != nil || code != 0 {
		t.Fatalf("touch: %s %v", out, err)
	}
	out := <-v.result
	_, out, _ = strings.Cut(out, "established ")
	out, _, _ = strings.Cut(out, "\n")
	return "established " + out
}

// ways cuts links in one way.
func ways(how cluster.Cut, pairs ...string) cluster.LinkState {
	s := links(pairs...)
	for l := range s.Cut {
		s.Cut[l] = how
	}
	return s
}

// TestCutModes is what the servers' own TCP connections see of every kind of
// cut, over both families.
func TestCutModes(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, lineNodes(t, e, 2))
	for _, tt := range []struct {
		name, want string
		state      cluster.LinkState
	}{
		{"open", "established ok, new ok", cluster.LinkState{}},
		{"drop", "established timeout, new timeout", ways(cluster.Drop, "n1>n2", "n2>n1")},
		{"drop there", "established timeout, new timeout", ways(cluster.Drop, "n1>n2")},
		{"drop back", "established timeout, new timeout", ways(cluster.Drop, "n2>n1")},
		{"reject", "established reset, new refused", ways(cluster.Reject, "n1>n2", "n2>n1")},
		{"reject there", "established reset, new refused", ways(cluster.Reject, "n1>n2")},
		{"hold", "established timeout, new timeout", ways(cluster.Hold, "n1>n2", "n2>n1")},
		{"hold there", "established timeout, new timeout", ways(cluster.Hold, "n1>n2")},
	} {
		for family, to := range map[string]netip.Addr{"IPv4": c.Nodes[1].IP, "IPv6": c.Nodes[1].IP6} {
			t.Run(tt.name+" "+family, func(t *testing.T) {
				bring(t, c, cluster.LinkState{})
				until(t, 5*time.Second, func() error { return reachable(t, e, c, to) })
				v := converse(t, e, c, to)
				bring(t, c, tt.state)
				expect(t, c, tt.state)
				if got := v.goOn(t); got != tt.want {
					t.Errorf("n1 sees %q, want %q", got, tt.want)
				}
				bring(t, c, cluster.LinkState{})
				until(t, 5*time.Second, func() error { return reachable(t, e, c, to) })
			})
		}
	}
}

// reachable is nil if n1 gets an answer from an address.
func reachable(t *testing.T, e *docker.Engine, c *docker.Cluster, to netip.Addr) error {
	out, _, err := e.Exec(t.Context(), c.Nodes[0].ServerID, "perl", "-MIO::Socket::IP", "-e",
		`alarm 2; my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => 8000, Timeout => 1) or die "$@\n"; print $s "x\n"; $s->flush; print scalar <$s>`, to.String())
	if err == nil && !strings.HasPrefix(out, "x") {
		err = errors.New(out)
	}
	return err
}

// TestHoldDelivers: what a link held comes when it is opened, all and in
// order; what it was to hold when it is cut for good does not.
func TestHoldDelivers(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(2))
	for _, pair := range []string{"n1>n2", "clients>n1", "n1>clients"} {
		for _, then := range []cluster.Cut{cluster.Open, cluster.Drop} {
			bring(t, c, ways(cluster.Hold, pair))
			seen, err := c.Net.Volley(t.Context(), link(pair), 500)
			if err != nil {
				t.Fatal(err)
			}
			if q := seen(); q.Arrived != 0 {
				t.Errorf("%s: %d packets came over a held link", pair, q.Arrived)
			}
			bring(t, c, ways(then, pair))
			time.Sleep(100 * time.Millisecond)
			q := seen()
			if then == cluster.Open && (q.Arrived != 500 || q.Reordered != 0) || then != cluster.Open && q.Arrived != 0 {
				t.Errorf("%s, then %v: %+v", pair, then, q)
			}
			bring(t, c, cluster.LinkState{})
			if q := seen(); then != cluster.Open && q.Arrived != 0 {
				t.Errorf("%s was cut while it held packets, and delivered: %+v", pair, q)
			}
		}
	}
}

// ask says something to a node's line server, over a connection or, if that is
// nil, a new one.
func ask(conn net.Conn, addr string) (net.Conn, error) {
	if conn == nil {
		var err error
		if conn, err = net.DialTimeout("tcp", addr, time.Second); err != nil {
			return nil, err
		}
	}
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return conn, err
	}
	if _, err := io.WriteString(conn, "hi\n"); err != nil {
		return conn, err
	}
	_, err := io.ReadFull(conn, make([]byte, 3))
	return conn, err
}

// TestClientsCut cuts the harness off from one node: from its published port,
// and no other; the nodes go on among themselves.
func TestClientsCut(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, lineNodes(t, e, 2))
	addr, err := c.Addr("n1", 8000)
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.Addr("n2", 8000)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		state   cluster.LinkState
		timeout bool // or else the client learns at once
	}{
		{"both ways", ways(cluster.Drop, "clients>n1", "n1>clients"), true},
		{"to the node", ways(cluster.Drop, "clients>n1"), true},
		{"from the node", ways(cluster.Drop, "n1>clients"), true},
		{"rejected", ways(cluster.Reject, "clients>n1", "n1>clients"), false},
		{"held", ways(cluster.Hold, "clients>n1"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var conn net.Conn
			until(t, 5*time.Second, func() (err error) { conn, err = ask(nil, addr); return err })
			defer conn.Close()
			bring(t, c, tt.state)
			expect(t, c, tt.state)
			_, est := ask(conn, addr)
			_, fresh := ask(nil, addr)
			for what, err := range map[string]error{"established": est, "new": fresh} {
				if err == nil || errors.Is(err, os.ErrDeadlineExceeded) != tt.timeout {
					t.Errorf("%s connection: %v", what, err)
				}
			}
			if _, err := ask(nil, other); err != nil {
				t.Errorf("n2: %v", err)
			}
			if err := reachable(t, e, c, c.Nodes[1].IP); err != nil {
				t.Errorf("from n1 to n2: %v", err)
			}
			bring(t, c, cluster.LinkState{})
			until(t, 5*time.Second, func() error { _, err := ask(nil, addr); return err })
		})
	}
}

// TestHairpin: a node that is cut off from a peer does not reach it through a
// port that somebody published on all of the host's addresses.
func TestHairpin(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, lineNodes(t, e, 3))
	until(t, 10*time.Second, func() error { return reachable(t, e, c, c.Nodes[1].IP) })
	// The harness forwards a port of all addresses to n2, as a port published
	// on 0.0.0.0 is.
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	published, err := c.Addr("n2", 8000)
	if err != nil {
		t.Fatal(err)
	}
	go forward(l, published)
	port := l.Addr().(*net.TCPAddr).Port
	gateway := c.Nodes[0].IP.As4()
	gateway[3] = 1
	around := func() error {
		out, _, err := e.Exec(t.Context(), c.Nodes[0].ServerID, "perl", "-MIO::Socket::IP", "-e",
			`alarm 2; my $s = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1], Timeout => 1) or die "$@\n"; print $s "x\n"; $s->flush; print scalar <$s>`,
			netip.AddrFrom4(gateway).String(), fmt.Sprint(port))
		if err == nil && !strings.HasPrefix(out, "x") {
			err = errors.New("no way: " + out)
		}
		return err
	}
	if err := around(); err != nil {
		t.Fatalf("the way around that is to be closed is not there: %v", err)
	}
	for _, s := range []cluster.LinkState{apart([]string{"n1"}, []string{"n2"}), links("n1>n2"), ways(cluster.Reject, "n1>n2")} {
		bring(t, c, s)
		if err := around(); err == nil {
			t.Errorf("with %v cut, n1 reaches n2 through the gateway", s.Cut)
		}
		if err := reachable(t, e, c, c.Nodes[2].IP); err != nil {
			t.Errorf("with %v cut, n1 does not reach n3: %v", s.Cut, err)
		}
		addr, _ := c.Addr("n1", 8000)
		if _, err := ask(nil, addr); err != nil {
			t.Errorf("with %v cut, clients do not reach n1: %v", s.Cut, err)
		}
	}
	bring(t, c, cluster.LinkState{})
	if err := around(); err != nil {
		t.Errorf("after the heal: %v", err)
	}
}

// forward lets a listener's connections end elsewhere.
func forward(l net.Listener, to string) {
	for {
		a, err := l.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", to)
		if err != nil {
			a.Close()
			continue
		}
		go func() { _, _ = io.Copy(a, b); a.Close() }()
		go func() { _, _ = io.Copy(b, a); b.Close() }()
	}
}

// TestCompose: cuts and shapes of different links, and of one, in one state;
// a link whose delay changes loses nothing that waits.
func TestCompose(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(3))
	s := links("n1>n2", "n2>n1")
	s.Shape = map[cluster.Link]cluster.Shape{
		link("n1>n3"): {Delay: 30 * ms}, link("n3>n1"): {Loss: 0.5}, link("n1>n2"): {Delay: 5 * ms},
	}
	bring(t, c, s)
	expect(t, c, s)
	q, err := c.Net.Measure(t.Context(), []cluster.Link{link("n1>n3"), link("n3>n1"), link("n1>n2"), link("n2>n3")}, 300, 300*ms)
	if err != nil {
		t.Fatal(err)
	}
	if d := q[link("n1>n3")]; d.Arrived != 300 || d.P50 < 30*ms || d.P50 > 35*ms {
		t.Errorf("delayed: %+v", d)
	}
	if d := q[link("n3>n1")]; d.Arrived < 100 || d.Arrived > 200 {
		t.Errorf("lossy: %+v", d)
	}
	if d := q[link("n1>n2")]; d.Arrived != 0 {
		t.Errorf("cut and delayed: %+v", d)
	}
	if d := q[link("n2>n3")]; d.Arrived != 300 || d.P50 > 5*ms {
		t.Errorf("untouched: %+v", d)
	}
	slow := shaped(cluster.Shape{Delay: 400 * ms}, "n1>n2")
	bring(t, c, slow)
	seen, err := c.Net.Volley(t.Context(), link("n1>n2"), 200)
	if err != nil {
		t.Fatal(err)
	}
	bring(t, c, shaped(cluster.Shape{Delay: 10 * ms}, "n1>n2"))
	until(t, 2*time.Second, func() error {
		if q := seen(); q.Arrived != 200 || q.Min < 300*ms {
			return fmt.Errorf("after the delay was changed: %+v", q)
		}
		return nil
	})
	bring(t, c, slow)
	if seen, err = c.Net.Volley(t.Context(), link("n1>n2"), 200); err != nil {
		t.Fatal(err)
	}
	bring(t, c, cluster.LinkState{})
	until(t, 200*ms, func() error {
		if q := seen(); q.Arrived != 200 || q.Reordered > 0 {
			return fmt.Errorf("after the heal: %+v", q)
		}
		return nil
	})
}

// TestReset ends connections that would else wait for their back-off.
func TestReset(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, lineNodes(t, e, 2))
	until(t, 10*time.Second, func() error { return reachable(t, e, c, c.Nodes[1].IP) })
	for _, to := range []netip.Addr{c.Nodes[1].IP, c.Nodes[1].IP6} {
		v := converse(t, e, c, to)
		if err := c.Net.Reset(t.Context(), []cluster.Link{link("n1>n2")}); err != nil {
			t.Fatal(err)
		}
		if got := v.goOn(t); !strings.HasSuffix(got, ", new ok") || strings.HasPrefix(got, "established ok") || strings.HasPrefix(got, "established timeout") {
			t.Errorf("n1 sees %q after the reset of %v", got, to)
		}
	}
	addr, err := c.Addr("n1", 8000)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ask(nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Net.Reset(t.Context(), []cluster.Link{link("clients>n1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(conn, addr); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client's connection after its reset: %v", err)
	}
	if err := c.Net.Reset(t.Context(), []cluster.Link{link("n1>n9")}); err == nil {
		t.Error("reset of a link that is not")
	}
}

// TestShapesEndWithTheHarness: a delay and what it holds back do not outlive
// the lease.
func TestShapesEndWithTheLease(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(2))
	s := shaped(cluster.Shape{Delay: time.Hour}, "n1>n2")
	s.Cut = ways(cluster.Hold, "n2>n1").Cut
	if err := c.Net.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	there, err := c.Net.Volley(t.Context(), link("n1>n2"), 50)
	if err != nil {
		t.Fatal(err)
	}
	back, err := c.Net.Volley(t.Context(), link("n2>n1"), 50)
	if err != nil {
		t.Fatal(err)
	}
	c.Hang()
	// Asking would renew the lease.
	time.Sleep(9 * time.Second)
	if a, b := there(), back(); a.Arrived != 50 || b.Arrived != 50 {
		t.Errorf("after the lease ended: %+v, %+v", a, b)
	}
	if err := c.Net.Apply(context.WithoutCancel(t.Context()), cluster.LinkState{}); !errors.Is(err, cluster.ErrLapsed) {
		t.Errorf("heal after the lapse: %v", err)
	}
}

// TestSlowClients: a client's connection through a published port, slow both
// ways, is slow and carries everything.
func TestSlowClients(t *testing.T) {
	e := testEngine(t)
	c := testCluster(t, e, lineNodes(t, e, 1))
	addr, err := c.Addr("n1", 8000)
	if err != nil {
		t.Fatal(err)
	}
	s := shaped(cluster.Shape{Delay: 20 * ms}, "clients>n1")
	s.Shape[link("n1>clients")] = cluster.Shape{Delay: 30 * ms}
	until(t, 10*time.Second, func() error { _, err := ask(nil, addr); return err })
	bring(t, c, s)
	conn, err := ask(nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	if _, err := ask(conn, addr); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 50*ms || took > 150*ms {
		t.Errorf("a question took %v", took)
	}
	want := strings.Repeat("the quick brown fox jumps over the lazy dog\n", 100_000)
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, want) }() // the reader sees what is missing
	got := make([]byte, len(want))
	start = time.Now()
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("%d bytes come back changed, or not: %v", len(want), err)
	}
	t.Logf("%d bytes there and back in %v", len(want), time.Since(start))
}
