#!/bin/sh
# Starts one PostgreSQL node. It runs as user postgres in the official image
# and in ours alike; sh, and nothing outside PostgreSQL, coreutils, sed and grep.
#
#   NODE       this node's name
#   /capstan-primary  the file that names the primary, written anew when the
#              role changes; the node is a standby if it is another
#   DURABLE    if not empty, a node that is made is synced to its disk, which
#              may lose what was not
#   arguments  go to postgres
#
# An empty node makes itself: the primary by initdb, a standby by copying the
# primary. A node that was the primary once copies the new one as well: what only
# it has is given up. All of it works beside the final place and moves there when it is
# complete, so that a kill in between leaves an empty node. No fsync while at
# it: containers die, machines do not.
set -eu
umask 077
PGDATA=${PGDATA:-/var/lib/postgresql/data}
data=$PGDATA/capstan
PRIMARY=$(cat /capstan-primary)
conninfo="host=$PRIMARY port=5432 user=postgres dbname=postgres application_name=$NODE
	connect_timeout=2 tcp_user_timeout=5000 keepalives_idle=2 keepalives_interval=1 keepalives_count=3"
conninfo=$(echo $conninfo)

make_primary() {
	initdb -D "$data.new" -U postgres --auth=trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
	# Clients come through ports on the engine's loopback only.
	printf 'host all all all trust\nhost replication all all trust\n' >>"$data.new/pg_hba.conf"
}

# make_standby waits for the primary by trying.
make_standby() {
	slot="select pg_create_physical_replication_slot('$NODE', true)
		where not exists (select from pg_replication_slots where slot_name = '$NODE')"
	until psql -d "$conninfo" -XAtqc "$slot" >/dev/null 2>&1 &&
		rm -rf "$data.new" &&
		pg_basebackup -d "$conninfo" -D "$data.new" -S "$NODE" -X stream -c fast --no-sync; do
		sleep 0.1
	done
	follow "$data.new"
}

# follow makes a copy follow the primary, and nobody else.
follow() {
	if [ -e "$1/standby.signal" ] && grep -q "^primary_conninfo = 'host=$PRIMARY " "$1/postgresql.auto.conf"; then return; fi
	sed -i '/^primary_/d' "$1/postgresql.auto.conf"
	printf "primary_conninfo = '%s'\nprimary_slot_name = '%s'\n" "$conninfo" "$NODE" >>"$1/postgresql.auto.conf"
	touch "$1/standby.signal"
}

make=
if [ ! -d "$data" ]; then
	make=1
elif [ "$NODE" != "$PRIMARY" ]; then
	if [ -e "$data/standby.signal" ]; then follow "$data"; else make=1; fi
fi
if [ -n "$make" ]; then
	rm -rf "$data.new"
	mkdir -p "$PGDATA"
	if [ "$NODE" = "$PRIMARY" ]; then make_primary; else make_standby; fi
	chmod 700 "$data.new"
	if [ -n "${DURABLE:-}" ]; then initdb -S -D "$data.new" >/dev/null; fi
	rm -rf "$data"
	mv "$data.new" "$data"
	if [ -n "${DURABLE:-}" ]; then sync "$PGDATA"; fi
fi
exec postgres -D "$data" -c cluster_name="$NODE" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
