// Package host is the part of an agent that breaks what lies on the host of
// the nodes: their processes, the clocks that these see, and their disks. Its
// agent sees all processes of the host, finds those of a container by the
// container's id, and changes nothing of any other.
package host

// The verbs of this part.
const (
	// VerbProcess takes Container and answers with Process.
	VerbProcess = "process"
	// VerbSuspend takes Container and stops its server process, and only that;
	// VerbContinue lets it go on. Both answer with Process.
	VerbSuspend  = "suspend"
	VerbContinue = "continue"
	// VerbSkew takes Skew and answers with Skewed.
	VerbSkew = "skew"
	// VerbClock takes Container and answers with Clock.
	VerbClock = "clock"
	// VerbMount takes Volume.
	VerbMount = "mount"
	// VerbDisk takes Disk.
	VerbDisk = "disk"
	// VerbCrash takes Volume, whose users are dead, and loses all that was not
	// synced.
	VerbCrash = "crash"
	// VerbWipe takes Volume, whose users are dead, and empties it.
	VerbWipe = "wipe"
	// VerbDamage takes Damage and answers with what was done, a line for each
	// file.
	VerbDamage = "damage"
	// VerbProbe takes Probe and answers with Probed.
	VerbProbe = "probe"
)

// Where the agent finds volumes in its own container: each has a folder with
// the engine's _data in it, and with a backing its files are in a folder of
// the same name behind.
const (
	VolumesDir = "/volumes"
	BackDir    = "/behind"
)

// Container names a server by the id of its container.
type Container struct {
	Container string `json:"container"`
}

// Process is the server process of a container: its first one, or, if that is
// a shell or an init, the oldest child of it that has lived for half a second,
// and so on.
type Process struct {
	// PID as the host counts; 0 if there is no process.
	PID int `json:"pid"`
	// Name is what the kernel calls it, at most 15 bytes.
	Name string `json:"name"`
	// Stopped by a signal.
	Stopped bool `json:"stopped"`
}

// Skew is the wanted clock of a container's processes. The zero value is the
// true one.
type Skew struct {
	Container string `json:"container"`
	// Base is the moment of the change in nanoseconds since 1970, and Offset
	// the distance from the true time at it.
	Base   int64 `json:"base"`
	Offset int64 `json:"offset"`
	// Drift is how many seconds are gained in one.
	Drift float64 `json:"drift"`
}

// Skewed says how many processes have the wanted clock.
type Skewed struct {
	Processes int `json:"processes"`
}

// Clock is what a container's server process takes for the time.
type Clock struct {
	Process
	// Offset from the true time, in nanoseconds.
	Offset int64 `json:"offset"`
	// True says that the process has the kernel's own clock.
	True bool `json:"true"`
}

// Backing is what a volume lies on.
type Backing string

// The backings. A plain volume is a folder of the engine.
const (
	Plain Backing = "plain"
	Loop  Backing = "loop" // ext4 of its own on a loop device
	FUSE  Backing = "fuse" // package lossy
)

// Volume of a node.
type Volume struct {
	Name    string  `json:"name"`
	Backing Backing `json:"backing"`
	// Size in bytes of an ext4 of its own.
	Size int64 `json:"size,omitempty"`
}

// Disk is the wanted state of a volume's disk.
type Disk struct {
	Volume      string  `json:"volume"`
	ReadOnly    bool    `json:"readOnly,omitempty"`
	Full        bool    `json:"full,omitempty"`
	Delay       int64   `json:"delay,omitempty"` // nanoseconds
	ReadErrors  float64 `json:"readErrors,omitempty"`
	WriteErrors float64 `json:"writeErrors,omitempty"`
	SyncErrors  float64 `json:"syncErrors,omitempty"`
}

// Damage to files of a volume, see cluster.Damage.
type Damage struct {
	Volume   string `json:"volume"`
	Files    string `json:"files"`
	Flips    int    `json:"flips"`
	Truncate int64  `json:"truncate"`
	Seed     uint64 `json:"seed"`
}

// Probe writes, syncs and reads a small file through the mount that the server
// process of the container has at Target; without such a process, through the
// volume.
type Probe struct {
	Volume    string `json:"volume"`
	Container string `json:"container"`
	Target    string `json:"target"`
}

// Probed is how long each took, in nanoseconds, and what failed.
type Probed struct {
	Write int64  `json:"write"`
	Sync  int64  `json:"sync"`
	Read  int64  `json:"read"`
	Err   string `json:"err,omitempty"`
}
