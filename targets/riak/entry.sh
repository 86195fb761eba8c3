#!/bin/sh
# A node of the ring, in any image of Riak KV that has its files where the
# packages put them. It is joined to the others from outside.
# STRONG=on|off: whether there is to be consensus.
set -e
conf=/etc/riak/riak.conf
address=$(hostname -i | tr ' ' '\n' | grep -F . | head -n 1) # not the one of IPv6
sed -i -E '/^(nodename|distributed_cookie|ring_size|listener\.(http|protobuf)\.internal|strong_consistency) *=/d' $conf
cat >> $conf <<EOF
nodename = riak@$address
distributed_cookie = capstan
ring_size = 32
listener.http.internal = 0.0.0.0:8098
listener.protobuf.internal = 0.0.0.0:8087
strong_consistency = $STRONG
EOF
chown -R riak:riak /var/lib/riak 2>/dev/null || true

# 3.0 stays in the foreground; 2.x goes into the background, and is followed.
if riak help 2>&1 | grep -qw foreground; then
  exec riak foreground
fi
trap 'riak stop; exit 0' TERM INT
riak start
touch /var/log/riak/console.log
tail -n +1 -F /var/log/riak/console.log &
pid=$(riak getpid)
while kill -0 "$pid" 2>/dev/null; do
  sleep 1 &
  wait $!
done
exit 1
