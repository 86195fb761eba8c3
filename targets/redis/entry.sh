#!/bin/sh
# Starts one Redis server, or one sentinel. It runs as user redis in the official
# image and in ours alike.
#
#   ROLE       server or sentinel
#   CONF       the configuration of a node that is new
#   DURABLE    if not empty, that is synced to the disk
#   PRIMARY, REPLICAS
#              for a sentinel that is new: the first primary, and how many
#              replicas follow it
#
# The configuration lies with the data: Redis and its sentinels write into it
# who the primary is, and a node that starts again must know.
set -eu
conf=/data/$ROLE.conf
following() { redis-cli -h "$PRIMARY" info replication 2>/dev/null | grep -c state=online; }

if [ ! -s "$conf" ]; then
	# Sentinels ask every 10 s: one that comes before the replicas finds them late.
	if [ "$ROLE" = sentinel ]; then
		until [ "$(following)" = "$REPLICAS" ]; do sleep 0.1; done
	fi
	printf '%s\n' "$CONF" >"$conf.new"
	mv "$conf.new" "$conf"
	if [ -n "${DURABLE:-}" ]; then sync /data; fi
fi
cd /data
case $ROLE in
sentinel) exec redis-sentinel "$conf" ;;
*) exec redis-server "$conf" ;;
esac
