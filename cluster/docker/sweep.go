package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

// youth is how long a run of an owner that cannot be looked at is left alone
// when none of its holders runs: it may be just starting.
const youth = 10 * time.Minute

// Removed lists what was removed from the engine, by name.
type Removed struct{ Containers, Networks, Volumes []string }

// Empty is true if nothing was removed.
func (r Removed) Empty() bool {
	return len(r.Containers)+len(r.Networks)+len(r.Volumes) == 0
}

// String lists all, by kind.
func (r Removed) String() string {
	var parts []string
	add := func(kind string, names []string) {
		if len(names) > 0 {
			slices.Sort(names)
			parts = append(parts, kind+" "+strings.Join(names, ", "))
		}
	}
	add("containers", r.Containers)
	add("networks", r.Networks)
	add("volumes", r.Volumes)
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

// inventory is what carries our labels.
type inventory struct {
	containers []container.Summary
	networks   []network.Summary
	volumes    []*volume.Volume
}

// Sweep removes what runs left whose process is dead. Runs of living
// processes stay, and kept clusters.
func (e *Engine) Sweep(ctx context.Context) (Removed, error) {
	inv, err := e.inventory(ctx, labelRun)
	if err != nil {
		return Removed{}, err
	}
	abandoned := inv.abandoned(self(), time.Now())
	return e.removeAll(ctx, inv.only(func(labels map[string]string) bool { return abandoned[labels[labelCluster]] }))
}

// Clean removes every container, network and volume that carries our label,
// whoever made it, running, paused or dead; with a run only what that run
// made.
func (e *Engine) Clean(ctx context.Context, run string) (Removed, error) {
	if run == "" {
		return e.remove(ctx, labelRun)
	}
	return e.remove(ctx, labelRun+"="+run)
}

// remove removes what carries the label.
func (e *Engine) remove(ctx context.Context, label string) (Removed, error) {
	inv, err := e.inventory(ctx, label)
	if err != nil {
		return Removed{}, err
	}
	return e.removeAll(ctx, inv)
}

// inventory lists what carries a label.
func (e *Engine) inventory(ctx context.Context, label string) (inv inventory, err error) {
	f := filters.NewArgs(filters.Arg("label", label))
	if inv.containers, err = e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: f}); err != nil {
		return inv, fmt.Errorf("list our containers: %w", err)
	}
	if inv.networks, err = e.api.NetworkList(ctx, network.ListOptions{Filters: f}); err != nil {
		return inv, fmt.Errorf("list our networks: %w", err)
	}
	vols, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: f})
	if err != nil {
		return inv, fmt.Errorf("list our volumes: %w", err)
	}
	inv.volumes = vols.Volumes
	return inv, nil
}

// only is the part for whose labels keep is true.
func (inv inventory) only(keep func(labels map[string]string) bool) inventory {
	return inventory{
		containers: slices.DeleteFunc(inv.containers, func(c container.Summary) bool { return !keep(c.Labels) }),
		networks:   slices.DeleteFunc(inv.networks, func(n network.Summary) bool { return !keep(n.Labels) }),
		volumes:    slices.DeleteFunc(inv.volumes, func(v *volume.Volume) bool { return !keep(v.Labels) }),
	}
}

// abandoned are the clusters whose owner is dead. A running holder hangs on its
// owner's pipe, so it tells that even an owner that cannot be looked at lives;
// and in a kept cluster that it was left on purpose.
func (inv inventory) abandoned(me owner, now time.Time) map[string]bool {
	held := map[string]bool{}
	for _, c := range inv.containers {
		if c.Labels[labelRole] == RoleHolder && c.State == "running" {
			held[c.Labels[labelCluster]] = true
		}
	}
	abandoned := map[string]bool{}
	for _, l := range inv.labels() {
		id, kept := l[labelCluster], l[labelKeep] == "true"
		switch ownerOf(l).life(me) {
		case dead:
			abandoned[id] = !kept || !held[id]
		case foreign:
			created, err := time.Parse(time.RFC3339, l[labelCreated])
			abandoned[id] = !held[id] && (err != nil || now.Sub(created) > youth)
		}
	}
	return abandoned
}

func (inv inventory) labels() (ls []map[string]string) {
	for _, c := range inv.containers {
		ls = append(ls, c.Labels)
	}
	for _, n := range inv.networks {
		ls = append(ls, n.Labels)
	}
	for _, v := range inv.volumes {
		ls = append(ls, v.Labels)
	}
	return ls
}

// removeAll removes the containers, then what they used. It goes on after an
// error, and also when ctx was cancelled before.
func (e *Engine) removeAll(ctx context.Context, inv inventory) (Removed, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var mu sync.Mutex
	var r Removed
	note := func(list *[]string, name string, err error) error {
		if err != nil && !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, name)
		return nil
	}
	// Servers go first: a holder's address belongs to them as well, and they
	// use what a host agent has mounted.
	var servers, agents, holders, networks, volumes []func() error
	for _, c := range inv.containers {
		rm := func() error {
			return note(&r.Containers, strings.TrimPrefix(c.Names[0], "/"), e.removeContainer(ctx, c))
		}
		switch c.Labels[labelRole] {
		case RoleHolder:
			holders = append(holders, rm)
		case roleHost:
			agents = append(agents, rm)
		default:
			servers = append(servers, rm)
		}
	}
	for _, n := range inv.networks {
		networks = append(networks, func() error {
			return note(&r.Networks, n.Name, e.removeNetwork(ctx, n.ID))
		})
	}
	for _, v := range inv.volumes {
		volumes = append(volumes, func() error {
			return note(&r.Volumes, v.Name, e.removeVolume(ctx, v.Name))
		})
	}
	err := errors.Join(e.settle(ctx, inv.volumes), join(servers...), join(agents...), e.unmount(ctx, inv.volumes),
		join(holders...), join(networks...), join(volumes...))
	return r, err
}

// unmountAll takes everything off the folders that it is given. What is on
// them may be dead, and several times there.
const unmountAll = `for d; do while umount -l "$d" 2>/dev/null; do :; done; done; ! grep -E " /volumes/[0-9]+/_data " /proc/self/mountinfo`

// unmount takes file systems off the volumes on which a host agent has mounted
// them: it may have died without a chance to do so itself. With the last user
// of a loop device the kernel detaches it.
func (e *Engine) unmount(ctx context.Context, volumes []*volume.Volume) error {
	mounted := slices.DeleteFunc(slices.Clone(volumes), func(v *volume.Volume) bool { return v.Labels[labelDisk] == "" })
	for len(mounted) > 0 {
		err := e.runCleaner(ctx, mounted)
		if err == nil {
			return nil
		}
		left := e.present(ctx, mounted)
		if len(left) == len(mounted) {
			return fmt.Errorf("unmount volumes: %w", err)
		}
		mounted = left // somebody else removes the same at the same time
	}
	return nil
}

// present are the volumes that are still there.
func (e *Engine) present(ctx context.Context, volumes []*volume.Volume) (left []*volume.Volume) {
	for _, v := range volumes {
		if _, err := e.api.VolumeInspect(ctx, v.Name); !cerrdefs.IsNotFound(err) {
			left = append(left, v)
		}
	}
	return left
}

// runCleaner unmounts in a container that sees the volumes' folders.
func (e *Engine) runCleaner(ctx context.Context, volumes []*volume.Volume) error {
	config := &container.HostConfig{
		NetworkMode: "none", CapAdd: []string{"SYS_ADMIN"}, SecurityOpt: []string{"apparmor=unconfined"}, LogConfig: logging(),
	}
	cmd := []string{"sh", "-c", unmountAll, "sh"}
	// The cleaner is this process' own and no part of the run: others that sweep
	// at the same time leave it alone.
	labels := self().labels(time.Now())
	labels[labelRun] = "sweep"
	labels[labelCluster], labels[labelRole] = strings.ToLower(rand.Text()), roleHost
	for i, v := range volumes {
		target := fmt.Sprintf("/volumes/%d", i)
		config.Mounts = append(config.Mounts, mount.Mount{
			Type: mount.TypeBind, Source: path.Dir(v.Mountpoint), Target: target,
			BindOptions: &mount.BindOptions{Propagation: mount.PropagationRShared},
		})
		cmd = append(cmd, target+"/_data")
	}
	image, err := e.EnsureImage(ctx, HolderImage())
	if err != nil {
		return err
	}
	made, err := e.api.ContainerCreate(ctx, &container.Config{Image: image.Ref, Entrypoint: cmd, Labels: labels}, config, nil, nil, "")
	if err != nil {
		return err
	}
	ran := e.finish(ctx, made.ID)
	if err := e.removeContainer(ctx, container.Summary{ID: made.ID}); err != nil && !cerrdefs.IsNotFound(err) {
		return errors.Join(ran, fmt.Errorf("remove cleaner: %w", err))
	}
	return ran
}

// finish runs a cleaner to its end.
func (e *Engine) finish(ctx context.Context, id string) error {
	if err := e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return err
	}
	exited, failed := e.api.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case end := <-exited:
		if end.StatusCode != 0 {
			return errors.New("something is still mounted")
		}
		return nil
	case err := <-failed:
		return err
	}
}

// removeContainer removes one container with its anonymous volumes, whatever
// state it is in.
func (e *Engine) removeContainer(ctx context.Context, c container.Summary) error {
	if c.State == "paused" {
		// An error is that it is paused no more.
		_ = e.api.ContainerUnpause(ctx, c.ID)
	}
	err := e.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if !cerrdefs.IsConflict(err) {
		return err
	}
	// Somebody else removes it at the same time: wait for that.
	gone, failed := e.api.ContainerWait(ctx, c.ID, container.WaitConditionRemoved)
	select {
	case <-gone:
		return nil
	case err := <-failed:
		return err
	}
}

// removeVolume waits a while for those who use it: somebody else may be
// cleaning up at the same time.
func (e *Engine) removeVolume(ctx context.Context, name string) error {
	for try := 1; ; try++ {
		err := e.api.VolumeRemove(ctx, name, true)
		if !cerrdefs.IsConflict(err) || try == volumeTrials {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// volumeTrials is how often it is tried to remove a volume that is in use.
const volumeTrials = 25

// removeNetwork puts out first what does not belong to us, a container that
// somebody attached to look around.
func (e *Engine) removeNetwork(ctx context.Context, id string) error {
	err := e.api.NetworkRemove(ctx, id)
	if err == nil || cerrdefs.IsNotFound(err) {
		return err
	}
	n, ierr := e.api.NetworkInspect(ctx, id, network.InspectOptions{})
	if ierr != nil {
		return errors.Join(err, ierr)
	}
	for endpoint := range n.Containers {
		if derr := e.api.NetworkDisconnect(ctx, id, endpoint, true); derr != nil {
			err = errors.Join(err, derr)
		}
	}
	if e.api.NetworkRemove(ctx, id) == nil {
		return nil
	}
	return err
}
