# The agent in a holder: it cuts and heals the incoming links of one node, and
# sends and counts canaries. It is driven over stdin, one request a line,
# "ID VERB ARGS...", and answers on stdout with "ID ok ..." or "ID err TEXT".
#
#   hello NAME LEASE PORT   make the chains, open the canary sockets; answers
#                           with the address families that can be cut and the
#                           addresses of this node
#   renew                   nothing, but every request renews the lease
#   load ADDR...            prepare to drop what comes from these addresses
#   commit                  put what was loaded in force; answers with the
#                           monotonic clock in nanoseconds
#   abort                   forget what was loaded
#   counters                packets dropped so far, ADDR=N...
#   send NONCE ADDR...      one canary to each address
#   seen NONCE              the canaries that arrived, NODE/FAMILY...
#   keep                    live on without lease and without stdin
#
# It is a dead man's switch: when stdin ends (the harness is dead) it heals, and
# exits a while later, because the node loses its network with it; when the
# lease runs out (the harness hangs) it heals and says so with the line "! TEXT".
use strict;
use warnings;
use Errno qw(EINTR EAGAIN EWOULDBLOCK);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use POSIX ();
use Socket qw(:all);

my $CHAIN = 'CAPSTAN-IN';
my $FIONREAD = 0x541B;    # the same number on every Linux that Docker runs on
my $MAX_NONCES = 64;
my $LINGER = 30;          # seconds

my $name = '?';
my $lease = 0;            # seconds, 0 before hello and after keep
my $kept = 0;
my $port = 0;
my %tool;                 # family 4|6 => {restore, save, cmd}, if it can be cut
my %sock;                 # family 4|6 => canary socket
my @loaded;               # restores that wait for their COMMIT
my (%seen, @nonces);

$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { heal(); exit 0 };
serve();

# --- requests -------------------------------------------------------------

sub serve {
    my $buf = '';
    my $open = 1;         # stdin
    my $end = 0;          # when to do what the dead man's switch does, 0 never
    while (1) {
        my $r = '';
        vec($r, 0, 1) = 1 if $open;
        vec($r, fileno($_), 1) = 1 for values %sock;
        my $n = select($r, undef, undef, $end ? max($end - clock(), 0) : undef);
        next if $n < 0;
        drain();
        if ($end && clock() >= $end) {
            exit 0 if !$open;
            heal();
            print "! lease expired, healed\n";
            $end = 0;
            next;
        }
        next unless $open && vec($r, 0, 1);
        my $got = sysread(STDIN, $buf, 65536, length $buf);
        next if !defined $got && $! == EINTR;
        if (!$got) {
            heal();
            $open = 0;
            $end = $kept ? 0 : clock() + $LINGER;
            next;
        }
        while ($buf =~ s/^([^\n]*)\n//) {
            request($1);
            $end = $lease ? clock() + $lease : 0;
        }
    }
}

sub request {
    my ($id, $verb, @args) = split / /, shift;
    my %verbs = (
        hello => \&hello, renew => sub { '' }, load => \&load,
        commit => \&commit, abort => \&abort, counters => \&counters,
        send => \&canaries, seen => \&seen, keep => \&keep,
    );
    my $answer = eval { $verbs{$verb} ? $verbs{$verb}->(@args) : die "unknown request $verb\n" };
    if ($@) {
        (my $why = $@) =~ s/\s+/ /g;
        print "$id err $why\n";
        return;
    }
    print "$id ok $answer\n";
}

sub hello {
    my $seconds;
    ($name, $seconds, $port) = @_;
    my @why;
    for my $f (4, 6) {
        my $why = chains($f);
        push @why, $why if $why;
    }
    die "iptables does not work in the holder: @why\n" unless $tool{4};
    open_sockets();
    $lease = $seconds;
    return join ' ', 'families=' . join('', sort keys %tool), addresses();
}

sub keep {
    heal();
    $lease = 0;
    $kept = 1;
    return '';
}

# --- rules ----------------------------------------------------------------

# chains makes our chain and the jump to it at the top of INPUT, with the
# first iptables that works on this kernel. It returns why none did.
sub chains {
    my $f = shift;
    my $base = $f == 4 ? 'iptables' : 'ip6tables';
    my $why = '';
    for my $kind ('nft', 'legacy') {
        my %t = map { $_ => "$base-$kind" . ($_ eq 'cmd' ? '' : "-$_") } qw(cmd restore save);
        my ($ok, $out) = run("*filter\n:$CHAIN - [0:0]\nCOMMIT\n", $t{restore}, '-w', '5', '--noflush');
        if ($ok && !(run('', $t{cmd}, '-w', '5', '-C', 'INPUT', '-j', $CHAIN))[0]) {
            ($ok, $out) = run('', $t{cmd}, '-w', '5', '-I', 'INPUT', '1', '-j', $CHAIN);
        }
        if ($ok) {
            $tool{$f} = \%t;
            return '';
        }
        $why = "$t{cmd}: $out";
    }
    return $why;
}

# load starts one restore for each family and feeds it everything but the
# COMMIT, so that commit costs no process start. It returns when both have
# read it all.
sub load {
    my @addrs = @_;
    abort();
    for my $f (sort keys %tool) {
        my $rules = "*filter\n:$CHAIN - [0:0]\n";
        for my $a (@addrs) {
            die "bad address\n" unless $a =~ /^[0-9a-f.:]+$/;
            next if ($a =~ /:/) != ($f == 6);
            $rules .= "-A $CHAIN -s $a -j DROP\n";
        }
        my $p = start($tool{$f}{restore}, '-w', '5', '--noflush');
        push @loaded, $p;
        feed($p, $rules);
    }
    for my $p (@loaded) {
        my $patience = clock() + 5;
        while (unread($p)) {
            die "iptables-restore does not read its rules\n" if clock() > $patience;
            select(undef, undef, undef, 0.0005);
        }
    }
    return '';
}

sub commit {
    die "nothing is loaded\n" unless @loaded;
    my @p = splice @loaded;
    feed($_, "COMMIT\n"), close $_->{in} for @p;
    my @why;
    for my $p (@p) {
        my ($ok, $out) = finish($p);
        push @why, $out unless $ok;
    }
    die "iptables-restore: @why\n" if @why;
    return sprintf '%d', clock() * 1e9;
}

sub abort {
    for my $p (splice @loaded) {
        kill 'KILL', $p->{pid};
        close $p->{in};
        finish($p);
    }
    return '';
}

# heal flushes our chain, and nothing else.
sub heal {
    eval { load(); commit(); 1 } or print STDERR "heal: $@";
}

sub counters {
    my %n;
    for my $f (keys %tool) {
        my ($ok, $out) = run('', $tool{$f}{save}, '-c', '-t', 'filter');
        die "$tool{$f}{save}: $out\n" unless $ok;
        $n{$2} += $1 while $out =~ /^\[(\d+):\d+\] -A $CHAIN -s (\S+) -j DROP/mg;
    }
    return join ' ', map { "$_=$n{$_}" } sort keys %n;
}

# --- canaries -------------------------------------------------------------

sub open_sockets {
    return if %sock;
    if (socket(my $s, PF_INET, SOCK_DGRAM, 0)) {
        bind($s, pack_sockaddr_in($port, INADDR_ANY)) or die "bind canary port $port: $!\n";
        $sock{4} = $s;
    }
    if (socket(my $s, PF_INET6, SOCK_DGRAM, 0)) {
        setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        $sock{6} = $s if bind($s, pack_sockaddr_in6($port, IN6ADDR_ANY));
    }
    for my $s (values %sock) {
        fcntl($s, F_SETFL, fcntl($s, F_GETFL, 0) | O_NONBLOCK);
    }
}

sub canaries {
    my ($nonce, @addrs) = @_;
    my $sent = 0;
    for my $a (@addrs) {
        my $f = $a =~ /:/ ? 6 : 4;
        next unless $sock{$f};
        my $to = $f == 6
            ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $a))
            : pack_sockaddr_in($port, inet_pton(AF_INET, $a));
        $sent++ if defined send($sock{$f}, "capstan $nonce $name", 0, $to);
    }
    return $sent;
}

sub drain {
    for my $f (keys %sock) {
        while (defined recv($sock{$f}, my $msg, 512, 0)) {
            next unless $msg =~ /^capstan (\w+) ([\w.-]+)$/;
            if (!$seen{$1}) {
                push @nonces, $1;
                delete $seen{shift @nonces} if @nonces > $MAX_NONCES;
            }
            $seen{$1}{"$2/$f"}++;
        }
    }
}

sub seen {
    my $nonce = shift;
    drain();
    return join ' ', sort keys %{ $seen{$nonce} || {} };
}

# addresses lists every address of this node, link-local ones included.
sub addresses {
    my ($ok, $out) = run('', 'ip', '-o', 'addr', 'show');
    my @a;
    for (split /\n/, $out) {
        push @a, $1 if !/^\d+: lo\b/ && m{ inet6? ([0-9a-f.:]+)/};
    }
    return @a;
}

# --- processes ------------------------------------------------------------

sub start {
    my @cmd = @_;
    pipe(my $in_r, my $in_w) && pipe(my $out_r, my $out_w) or die "pipe: $!\n";
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        open STDIN, '<&', $in_r;
        open STDOUT, '>&', $out_w;
        open STDERR, '>&', $out_w;
        # The families do not wait for each other's lock.
        $ENV{XTABLES_LOCKFILE} = "/run/xtables-$cmd[0].lock";
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    close $in_r;
    close $out_w;
    return { pid => $pid, in => $in_w, out => $out_r };
}

sub feed {
    my ($p, $text) = @_;
    syswrite $p->{in}, $text;
}

# unread is the number of bytes that a process has not yet read of its input.
sub unread {
    my $p = shift;
    my $n = pack 'i', 0;
    return 0 unless ioctl $p->{in}, $FIONREAD, $n;
    return unpack 'i', $n;
}

sub finish {
    my $p = shift;
    my $fh = $p->{out};
    my $out = do { local $/; <$fh> };
    waitpid $p->{pid}, 0;
    return ($? == 0, defined $out ? $out : '');
}

sub run {
    my ($input, @cmd) = @_;
    my $p = start(@cmd);
    feed($p, $input) if length $input;
    close $p->{in};
    return finish($p);
}

# --- time -----------------------------------------------------------------

# clock is CLOCK_MONOTONIC in seconds, which all containers of a host share.
# The base system's perl has no Time::HiRes.
sub clock {
    my %nr = (x86_64 => 228, aarch64 => 113, ppc64le => 246, s390x => 260, riscv64 => 113);
    my $nr = $nr{ (POSIX::uname())[4] };
    if ($nr) {
        my $ts = pack 'q2', 0, 0;
        return unpack_time($ts) if syscall($nr, 1, $ts) == 0;
    }
    open my $f, '<', '/proc/uptime' or return time;
    return (split / /, <$f>)[0];
}

sub unpack_time {
    my ($s, $ns) = unpack 'q2', shift;
    return $s + $ns / 1e9;
}

sub max { $_[0] > $_[1] ? $_[0] : $_[1] }
