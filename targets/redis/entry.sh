#!/bin/sh
# Starts one Redis server, or one sentinel. It runs as user redis in the official
# image and in ours alike.
#
#   ROLE       server or sentinel
#   CONF       the configuration of a node that is new
#   DURABLE    if not empty, that is synced to the disk
#
# The configuration lies with the data: Redis and its sentinels write into it
# who the primary is, and a node that starts again must know.
set -eu
conf=/data/$ROLE.conf
if [ ! -s "$conf" ]; then
	printf '%s\n' "$CONF" >"$conf.new"
	mv "$conf.new" "$conf"
	if [ -n "${DURABLE:-}" ]; then sync /data; fi
fi
cd /data
case $ROLE in
sentinel) exec redis-sentinel "$conf" ;;
*) exec redis-server "$conf" ;;
esac
