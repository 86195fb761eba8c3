package sim

// Envs are the doors of the processes that run now.
func (w *World) Envs() []*Env {
	var all []*Env
	for _, h := range w.hosts {
		all = append(all, h.env)
	}
	return all
}
