#!/bin/sh
# Starts one MariaDB or MySQL node. It runs as user mysql in the official images
# and in ours alike.
#
#   NODE              this node's name
#   NODES             all nodes of a Galera cluster, by commas; empty without
#   PRIMARY_ARGS      options of the primary, and of all the others
#   REPLICA_ARGS
#   /capstan-primary  the file that names the primary: it is written anew when
#                     the role changes. In a Galera cluster it names the node
#                     that founds the cluster, for as long as there is none.
#   arguments         go to the server
#
# An empty node makes itself, beside the final place, and moves there when it is
# complete, so that a kill in between leaves an empty node.
set -eu
data=/var/lib/mysql/capstan
primary=$(cat /capstan-primary)
base="--no-defaults --datadir=$data"

# make is an empty system with our users, which no binary log speaks of.
make() {
	rm -rf "$data.new"
	if command -v mariadbd >/dev/null; then
		if [ -d /capstan-template ]; then
			cp -R /capstan-template "$data.new"
		else
			mariadb-install-db --no-defaults --datadir="$data.new" --skip-test-db \
				--auth-root-authentication-method=normal --innodb-log-file-size=32M >/dev/null
		fi
		{ printf 'use mysql;\nflush privileges;\n'; cat /capstan-users.sql; } |
			mariadbd --no-defaults --datadir="$data.new" --bootstrap --innodb-log-file-size=32M
	else
		mysqld --no-defaults --datadir="$data.new" --initialize-insecure --init-file=/capstan-users.sql
	fi
	# A node skips what it once wrote itself when others send it. One that begins
	# anew needs that, and so another number.
	echo $(($(od -An -N3 -tu4 /dev/urandom) + 1)) >"$data.new/capstan-server-id"
	mv "$data.new" "$data"
}

# recovered is the last transaction on the disk of a node that crashed, so that
# the others need to send only what came after.
recovered() {
	grep -q 'seqno: *-1' "$data/grastate.dat" 2>/dev/null || return 0
	mariadbd $base "$@" --wsrep-recover --log-error=/tmp/recover.log >/dev/null 2>&1 || true
	sed -n 's/.*Recovered position: *\([0-9a-f-]*:[0-9-]*\).*/--wsrep-start-position=\1/p' /tmp/recover.log | tail -n 1
}

server=$(command -v mariadbd || command -v mysqld)
fresh=
if [ ! -d "$data" ]; then fresh=1 && make; fi
set -- --server-id="$(cat "$data/capstan-server-id")" "$@"
if [ -z "${NODES:-}" ]; then
	if [ "$NODE" = "$primary" ]; then role=$PRIMARY_ARGS; else role=$REPLICA_ARGS; fi
	exec "$server" $base $role "$@"
fi

# Galera listens on IPv4 only, and takes the first address that a name has.
address() { getent ahostsv4 "$1" | sed -n '1s/ .*//p'; }
all=
for n in $(echo "$NODES" | tr , ' '); do all=$all${all:+,}$(address "$n"); done
set -- --wsrep-node-address="$(address "$NODE")" --wsrep-cluster-address="gcomm://$all" "$@"
if [ -n "$fresh" ] && [ "$NODE" = "$primary" ] || grep -q 'safe_to_bootstrap: *1' "$data/grastate.dat" 2>/dev/null; then
	exec "$server" $base --wsrep-new-cluster "$@"
fi
command -v rsync >/dev/null && sst=rsync || sst=mariabackup
exec "$server" $base --wsrep-sst-method=$sst --wsrep-sst-auth=root: $(recovered "$@") "$@"
