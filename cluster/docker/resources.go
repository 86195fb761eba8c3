package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/capstan-dev/capstan/cluster"
)

const (
	// cpuPeriod is the time in which a server may use its share, in
	// microseconds: the engine's default.
	cpuPeriod = 100_000
	// leastQuota is the smallest that the kernel takes.
	leastQuota = 1000
	// leastMemory is the smallest limit that the engine takes.
	leastMemory = 6 << 20
	// usageTime is how long usage is measured.
	usageTime = 500 * time.Millisecond
)

// Resources limits servers by ContainerUpdate.
type Resources struct {
	c *Cluster

	mu       sync.Mutex
	original map[string]container.Resources // of the nodes that were limited, by container
}

func newResources(c *Cluster) *Resources {
	return &Resources{c: c, original: map[string]container.Resources{}}
}

// initialLimits are those that a server starts with. CPUs are a quota and not
// NanoCPUs: the engine lets a container have one of them only, for good.
func initialLimits(s *Server) container.Resources {
	r := container.Resources{Memory: s.Memory, MemorySwap: s.Memory}
	if s.CPUs > 0 {
		r.CPUPeriod, r.CPUQuota = cpuPeriod, quota(s.CPUs)
	}
	return r
}

func quota(cpus float64) int64 { return max(leastQuota, int64(cpus*cpuPeriod)) }

// Limit implements cluster.Resources. Headroom counts from what the server
// uses at this moment without the page cache; where the kernel cannot bring
// its use below the limit the engine refuses, and nothing changes. Beyond the
// limit the kernel kills.
func (r *Resources) Limit(ctx context.Context, node string, l cluster.Limits) error {
	id, err := r.c.Procs.disturb(ctx, node)
	if err != nil {
		return err
	}
	original, err := r.of(ctx, id)
	if err != nil {
		return fmt.Errorf("%s: limit resources: %w", node, err)
	}
	want, err := r.update(ctx, id, original, l)
	if err != nil {
		return fmt.Errorf("%s: limit resources: %w", node, err)
	}
	if _, err := r.c.e.api.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: want}); err != nil {
		return fmt.Errorf("%s: limit resources: %w", node, err)
	}
	return nil
}

// of are the limits that the container was started with.
func (r *Resources) of(ctx context.Context, id string) (container.Resources, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if original, ok := r.original[id]; ok {
		return original, nil
	}
	now, err := r.c.e.api.ContainerInspect(ctx, id)
	if err != nil {
		return container.Resources{}, fmt.Errorf("inspect container: %w", err)
	}
	r.original[id] = now.HostConfig.Resources
	return now.HostConfig.Resources, nil
}

func (r *Resources) update(ctx context.Context, id string, original container.Resources, l cluster.Limits) (u container.Resources, err error) {
	now, err := r.c.e.api.ContainerInspect(ctx, id)
	if err != nil {
		return u, fmt.Errorf("inspect container: %w", err)
	}
	facts, err := r.c.e.Facts(ctx)
	if err != nil {
		return u, err
	}
	u = asStarted(original, now.HostConfig.Resources, facts.Memory)
	switch {
	case l.CPU <= 0 || cpuLimit(original) > 0 && cpuLimit(original) <= l.CPU:
		// It has no more than that.
	case original.NanoCPUs > 0:
		u.NanoCPUs = int64(l.CPU * 1e9)
	default:
		u.CPUPeriod, u.CPUQuota = cpuPeriod, quota(l.CPU)
	}
	if l.Headroom > 0 {
		used, err := r.stats(ctx, id)
		if err != nil {
			return u, err
		}
		limit := max(leastMemory, used.memory()+l.Headroom)
		if original.Memory == 0 || limit < original.Memory {
			u.Memory, u.MemorySwap = limit, limit
		}
	}
	return u, nil
}

// asStarted is the update that brings back the limits that a container was
// started with. all is the memory of the machine: the engine cannot take a
// limit away again, but one of that size is none.
func asStarted(original, now container.Resources, all int64) (u container.Resources) {
	switch {
	case original.NanoCPUs > 0:
		u.NanoCPUs = original.NanoCPUs
	case original.CPUQuota > 0:
		u.CPUPeriod, u.CPUQuota = original.CPUPeriod, original.CPUQuota
	default:
		u.CPUQuota = -1
	}
	switch {
	case original.Memory > 0:
		u.Memory, u.MemorySwap = original.Memory, original.MemorySwap
	case now.Memory > 0:
		u.Memory, u.MemorySwap = all, all
	}
	return u
}

// heal gives all servers what they were started with.
func (r *Resources) heal(ctx context.Context) error {
	var errs []error
	for _, n := range r.c.Nodes {
		r.mu.Lock()
		_, limited := r.original[n.ServerID]
		r.mu.Unlock()
		if limited {
			errs = append(errs, r.Limit(ctx, n.Name, cluster.Limits{}))
		}
	}
	return errors.Join(errs...)
}

// Usage implements cluster.Resources. It takes half a second.
func (r *Resources) Usage(ctx context.Context, node string) (u cluster.Usage, err error) {
	id, err := r.c.Procs.server(node)
	if err != nil {
		return u, err
	}
	fail := func(err error) (cluster.Usage, error) {
		return u, fmt.Errorf("%s: measure usage: %w", node, err)
	}
	before, err := r.stats(ctx, id)
	if err != nil {
		return fail(err)
	}
	select {
	case <-ctx.Done():
		return fail(ctx.Err())
	case <-time.After(usageTime):
	}
	after, err := r.stats(ctx, id)
	if err != nil {
		return fail(err)
	}
	now, err := r.c.e.api.ContainerInspect(ctx, id)
	if err != nil {
		return fail(err)
	}
	u = after.since(before)
	u.CPULimit = cpuLimit(now.HostConfig.Resources)
	return u, nil
}

func cpuLimit(r container.Resources) float64 {
	switch {
	case r.NanoCPUs > 0:
		return float64(r.NanoCPUs) / 1e9
	case r.CPUQuota > 0 && r.CPUPeriod > 0:
		return float64(r.CPUQuota) / float64(r.CPUPeriod)
	case r.CPUQuota > 0:
		return float64(r.CPUQuota) / cpuPeriod
	}
	return 0
}

// stats are the engine's numbers for a container at one moment.
type stats struct{ container.StatsResponse }

func (r *Resources) stats(ctx context.Context, id string) (s stats, err error) {
	resp, err := r.c.e.api.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return s, fmt.Errorf("ask for statistics: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s.StatsResponse); err != nil {
		return s, fmt.Errorf("read statistics: %w", err)
	}
	if s.Read.IsZero() || s.MemoryStats.Usage == 0 && s.CPUStats.CPUUsage.TotalUsage == 0 {
		return s, errors.New("the engine has no statistics of it: it does not run")
	}
	return s, nil
}

// memory is what is used without the page cache that can go at once, by the
// names of both versions of the control groups.
func (s stats) memory() int64 {
	m := s.MemoryStats
	for _, cache := range []string{"total_inactive_file", "inactive_file"} {
		if v, ok := m.Stats[cache]; ok && v < m.Usage {
			return int64(m.Usage - v)
		}
	}
	return int64(m.Usage)
}

func (s stats) since(before stats) (u cluster.Usage) {
	u.Memory, u.MemoryLimit = s.memory(), int64(s.MemoryStats.Limit)
	if d := s.Read.Sub(before.Read); d > 0 {
		u.CPU = float64(s.CPUStats.CPUUsage.TotalUsage-before.CPUStats.CPUUsage.TotalUsage) / float64(d)
	}
	now, then := s.CPUStats.ThrottlingData, before.CPUStats.ThrottlingData
	if periods := now.Periods - then.Periods; periods > 0 {
		u.Throttled = float64(now.ThrottledPeriods-then.ThrottledPeriods) / float64(periods)
	}
	return u
}
