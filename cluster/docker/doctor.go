package docker

import (
	"context"
	"fmt"
)

// Facts is what the engine says of itself.
type Facts struct {
	Host, Version, API, OS, Arch, Kernel string
	// Cgroup is the version of the control groups, "1" or "2".
	Cgroup        string
	StorageDriver string
	CPUs          int
	Memory        int64
	// Remote says that the engine is on another machine, where the nodes'
	// published ports cannot be reached.
	Remote bool
}

// Facts asks the engine.
func (e *Engine) Facts(ctx context.Context) (Facts, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return Facts{}, fmt.Errorf("ask the engine for its facts: %w", err)
	}
	cgroup := info.CgroupVersion
	if cgroup == "" {
		cgroup = "1"
	}
	return Facts{
		Host: e.Host(), Version: info.ServerVersion, API: e.api.ClientVersion(), OS: info.OperatingSystem,
		Arch: info.Architecture, Kernel: info.KernelVersion, Cgroup: cgroup,
		StorageDriver: info.Driver, CPUs: info.NCPU, Memory: info.MemTotal, Remote: e.remote(),
	}, nil
}

// pulse is a server of no use: it writes to its disk, and ends when told to.
const pulse = `trap 'exit 0' TERM; while :; do date > /data/pulse; sleep 0.1 & wait $!; done`

// Patient starts two small nodes to try faults on.
func (e *Engine) Patient(ctx context.Context, runID string, disk DiskBacking) (*Cluster, error) {
	image, err := e.EnsureImage(ctx, HolderImage())
	if err != nil {
		return nil, err
	}
	nodes := Bare(2)
	for i := range nodes {
		nodes[i].Ports = []int{patientPort}
		nodes[i].Server = &Server{
			Name: "pulse", Image: image.Ref, Entrypoint: []string{"sh", "-c", pulse}, Volumes: []string{"/data"},
			Memory: 256 << 20, CPUs: 1,
		}
	}
	return e.Start(ctx, Spec{RunID: runID, Nodes: nodes, Disk: disk})
}

// patientPort is published so that clients have links to cut.
const patientPort = 8000
