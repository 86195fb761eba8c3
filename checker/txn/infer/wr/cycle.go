package wr

// findCycle is a shortest cycle of the arcs between n vertices, which are
// sorted; nil if there is none.
func findCycle(n int, arcs []arc) []int32 {
	start := make([]int32, n+1)
	degree := make([]int32, n)
	for _, a := range arcs {
		start[a.from+1]++
		degree[a.to]++
	}
	for v := range n {
		start[v+1] += start[v]
	}
	rest := peel(n, arcs, start, degree)
	if rest == 0 {
		return nil
	}
	const most = 256 // vertices to search from: a shortest cycle of small keys, some cycle of others
	var best []int32
	for v := int32(0); int(v) < n && rest > 0; v++ {
		if degree[v] == 0 {
			continue
		}
		if c := shortest(v, n, arcs, start, degree); c != nil && (best == nil || len(c) < len(best)) {
			best = c
		}
		if rest--; len(best) == 2 || n-rest > most && best != nil {
			break
		}
	}
	return best
}

// peel takes away what no cycle can go through, and counts what is left: that
// with a degree.
func peel(n int, arcs []arc, start, degree []int32) int {
	var queue []int32
	for v := range n {
		if degree[v] == 0 {
			queue = append(queue, int32(v))
		}
	}
	for at := 0; at < len(queue); at++ {
		for _, a := range arcs[start[queue[at]]:start[queue[at]+1]] {
			if degree[a.to]--; degree[a.to] == 0 {
				queue = append(queue, a.to)
			}
		}
	}
	return n - len(queue)
}

// shortest is a shortest cycle through a vertex, by breadth.
func shortest(v int32, n int, arcs []arc, start, degree []int32) []int32 {
	from := make([]int32, n) // plus one
	queue := []int32{v}
	for at := 0; at < len(queue); at++ {
		u := queue[at]
		for _, a := range arcs[start[u]:start[u+1]] {
			if a.to == v {
				return path(u, v, from)
			}
			if degree[a.to] > 0 && from[a.to] == 0 {
				from[a.to] = u + 1
				queue = append(queue, a.to)
			}
		}
	}
	return nil
}

// path leads from v to u.
func path(u, v int32, from []int32) []int32 {
	var back []int32
	for u != v {
		back = append(back, u)
		u = from[u] - 1
	}
	out := []int32{v}
	for i := len(back) - 1; i >= 0; i-- {
		out = append(out, back[i])
	}
	return out
}
