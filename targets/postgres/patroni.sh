#!/bin/sh
# Starts one node of a Patroni cluster, as user postgres: Patroni, which starts
# PostgreSQL, or a node of etcd, by which the Patronis agree.
#
#   NODE, ROLE        this node's name; etcd, or empty
#   ETCD              the nodes of etcd, by commas
#   DCS               which of its interfaces Patroni uses: etcd3 or etcd
#   TTL, LOOP, RETRY  Patroni's times, in seconds
#   SYNC, STRICT      its synchronous modes: true or false
set -eu
umask 077
PGDATA=${PGDATA:-/var/lib/postgresql/data}

if [ "$ROLE" = etcd ]; then
	peers=$(echo "$ETCD" | sed 's|\([^,]*\)|\1=http://\1:2380|g')
	exec etcd --name "$NODE" --data-dir "$PGDATA/etcd" --enable-v2=true --logger=zap --log-level=warn \
		--initial-cluster "$peers" --initial-cluster-token capstan \
		--listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$NODE:2379" \
		--listen-peer-urls http://0.0.0.0:2380 --initial-advertise-peer-urls "http://$NODE:2380"
fi

cat >/tmp/patroni.yml <<Y
scope: capstan
name: $NODE
restapi: {listen: "0.0.0.0:8008", connect_address: "$NODE:8008"}
$DCS: {hosts: "$(echo "$ETCD" | sed 's|\([^,]*\)|\1:2379|g')"}
bootstrap:
  dcs:
    ttl: $TTL
    loop_wait: $LOOP
    retry_timeout: $RETRY
    maximum_lag_on_failover: 1048576
    synchronous_mode: $SYNC
    synchronous_mode_strict: $STRICT
    postgresql:
      use_pg_rewind: true
      use_slots: true
      remove_data_directory_on_rewind_failure: true
      remove_data_directory_on_diverged_timelines: true
      parameters:
        wal_level: replica
        hot_standby: "on"
        wal_log_hints: "on"
        max_connections: 300
        max_wal_senders: 16
        max_replication_slots: 16
        wal_keep_size: 128MB
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, {auth: trust}, no-sync]
  pg_hba: [host all all all trust, host replication all all trust, local all all trust]
postgresql:
  listen: 0.0.0.0:5432
  connect_address: $NODE:5432
  data_dir: $PGDATA/capstan
  bin_dir: $(dirname "$(command -v postgres)")
  pgpass: /tmp/pgpass
  authentication:
    superuser: {username: postgres, password: capstan}
    replication: {username: replicator, password: capstan}
    rewind: {username: postgres, password: capstan}
  parameters:
    unix_socket_directories: /tmp
    shared_buffers: 32MB
    lc_messages: C
    deadlock_timeout: 200ms
    wal_sender_timeout: 5s
    wal_receiver_timeout: 5s
    wal_retrieve_retry_interval: 500ms
    wal_receiver_status_interval: 1s
    tcp_user_timeout: 5s
  basebackup: [{checkpoint: fast}, no-sync]
Y
exec patroni /tmp/patroni.yml
