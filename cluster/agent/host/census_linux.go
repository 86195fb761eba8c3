package host

import "time"

// youth is how long a process may take to come into its container's control
// group, and how long it is believed of an older one that it is in none.
const youth = time.Second

// census knows which processes belong to the containers whose clocks are kept.
// To ask that of every process of a host each time would cost milliseconds.
type census map[int]*citizen

type citizen struct {
	first, looked time.Time
	container     string // empty if it is in none that matters
	clock         int64  // where its rule lies in its memory; 0 if not known
}

// take looks at all processes; unless it is a thorough one, at those whose
// answer is still good it does not look again.
func (c census) take(containers []string, now time.Time, thorough bool) error {
	pids, err := everybody()
	if err != nil {
		return err
	}
	first := now
	if len(c) == 0 {
		first = now.Add(-youth) // all are older than the census
	}
	alive := map[int]bool{}
	for _, pid := range pids {
		alive[pid] = true
		p := c[pid]
		if p == nil {
			p = &citizen{first: first}
			c[pid] = p
		}
		if fresh := now.Sub(p.first) < youth; thorough || fresh || now.Sub(p.looked) > youth {
			p.looked, p.container = now, owner(pid, containers)
		}
	}
	for pid := range c {
		if !alive[pid] {
			delete(c, pid)
		}
	}
	return nil
}

func owner(pid int, containers []string) string {
	for _, id := range containers {
		if belongs(pid, id) {
			return id
		}
	}
	return ""
}
