package docker

import (
	"os"
	"strconv"
	"time"
)

// The roles of containers.
const (
	// RoleServer is the system under test, RoleHolder what owns a node's
	// network.
	RoleServer = "server"
	RoleHolder = "holder"
)

// Everything that is made in the engine carries these labels: what run it
// belongs to, and which process made it.
const (
	labelRun     = "capstan.run"
	labelCluster = "capstan.cluster" // tells clusters of the same run id apart
	labelNode    = "capstan.node"
	labelRole    = "capstan.role"   // holder, server, host; links beside a container of others
	labelKeep    = "capstan.keep"   // the user wants it to stay
	labelTarget  = "capstan.target" // of an agent beside a container that capstan did not start: which one
	labelDisk    = "capstan.disk"   // of a volume on which another file system is mounted: what kind
	labelCreated = "capstan.created"
	labelHost    = "capstan.host"
	labelBoot    = "capstan.boot"
	labelPIDNS   = "capstan.pidns"
	labelPID     = "capstan.pid"
	labelStart   = "capstan.start"
)

// owner names a process so that no later one can be taken for it: the pid
// alone comes back within a day, and means nothing on another host, after a
// reboot or in another pid namespace.
type owner struct {
	host, boot, pidns, start string
	pid                      int
}

func self() owner {
	host, _ := os.Hostname()
	pid := os.Getpid()
	return owner{host: host, boot: bootID(), pidns: pidNamespace(), pid: pid, start: startTime(pid)}
}

func (o owner) labels(now time.Time) map[string]string {
	return map[string]string{
		labelHost: o.host, labelBoot: o.boot, labelPIDNS: o.pidns,
		labelPID: strconv.Itoa(o.pid), labelStart: o.start,
		labelCreated: now.UTC().Format(time.RFC3339),
	}
}

func ownerOf(labels map[string]string) owner {
	pid, _ := strconv.Atoi(labels[labelPID])
	return owner{
		host: labels[labelHost], boot: labels[labelBoot], pidns: labels[labelPIDNS],
		pid: pid, start: labels[labelStart],
	}
}

type life uint8

const (
	alive life = iota
	dead
	// foreign: on another machine or in another pid namespace, where this
	// process cannot look.
	foreign
)

// life tells whether the owner still runs, as far as me can know.
func (o owner) life(me owner) life {
	switch {
	case o.boot != me.boot && o.host == me.host:
		return dead // the machine was booted again
	case o.boot != me.boot || o.pidns != me.pidns || o.pid == 0:
		return foreign
	case startTime(o.pid) != o.start:
		return dead
	}
	return alive
}
