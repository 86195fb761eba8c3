package targets

// NetworkFaults are the kinds of faults on links between nodes, for
// topologies of several nodes.
func NetworkFaults() []string { return []string{"partition", "isolate"} }

// ContainerFaults are the kinds of faults that every cluster in containers can
// have, as far as the machine lets it, a single node as well.
func ContainerFaults() []string {
	return []string{
		"clients", "delay", "loss", "duplicate", "reorder", "corrupt", "rate",
		"kill", "stop", "pause", "suspend", "crash", "storm", "rolling", "rekill",
		"clock", "jump", "strobe", "drift",
		"disk-full", "disk-readonly", "disk-slow", "disk-error", "disk-damage",
		"cpu", "memory",
	}
}
