package cassandra

import (
	"fmt"
	"strings"
)

// config is a node's cassandra.yaml. All nodes are seeds with a token of their
// own, so that they start at the same time and need not wait for each other.
// Nodes know each other by name. Timeouts and failure detection are Cassandra's
// defaults; sizes are those of a small node.
func (r ring) config(levels map[string]string, node string) []byte {
	return fmt.Appendf(nil, `cluster_name: capstan
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: GossipingPropertyFileSnitch
num_tokens: 1
initial_token: '%s'
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "%s"
listen_address: %s
rpc_address: 0.0.0.0
broadcast_rpc_address: %s
native_transport_port: %d
data_file_directories: [/var/lib/cassandra/data]
commitlog_directory: /var/lib/cassandra/commitlog
saved_caches_directory: /var/lib/cassandra/saved_caches
hints_directory: /var/lib/cassandra/hints
hinted_handoff_enabled: %t
max_hints_delivery_threads: 2
hints_flush_period: 1s
paxos_variant: %s
%s
auto_snapshot: false
# A link that was cut is used again within seconds after it healed.
internode_tcp_user_timeout: 5s
concurrent_reads: 16
concurrent_writes: 16
concurrent_counter_writes: 16
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_size: 32MiB
commitlog_segment_size: 8MiB
commitlog_total_space: 128MiB
key_cache_size: 8MiB
counter_cache_size: 4MiB
`, r.token(node), strings.Join(r.names, ","), node, node, port,
		levels[levelHints] != "off", levels[levelPaxos], commitlogSync(levels[levelCommitlog]))
}

func commitlogSync(level string) string {
	if level == "batch" {
		return "commitlog_sync: batch"
	}
	return "commitlog_sync: periodic\ncommitlog_sync_period: 10s"
}
