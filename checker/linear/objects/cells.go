package objects

// cells is an immutable list, the last element first. nil is empty.
type cells struct {
	value  int32
	length int32
	rest   *cells
	sum    uint64
}

func (c *cells) push(v int32) *cells {
	return &cells{value: v, length: c.len() + 1, rest: c, sum: mix(c.hash() ^ uint64(uint32(v))<<32)}
}

func (c *cells) len() int32 {
	if c == nil {
		return 0
	}
	return c.length
}

func (c *cells) hash() uint64 {
	if c == nil {
		return 0
	}
	return c.sum
}

// equal walks no further than to the part that both share.
func (c *cells) equal(d *cells) bool {
	if c.hash() != d.hash() || c.len() != d.len() {
		return false
	}
	for c != d {
		if c.value != d.value {
			return false
		}
		c, d = c.rest, d.rest
	}
	return true
}

// is says whether the list, first element first, is the one given.
func (c *cells) is(list []int32) bool {
	if int(c.len()) != len(list) {
		return false
	}
	for k := len(list) - 1; k >= 0; k-- {
		if list[k] != c.value {
			return false
		}
		c = c.rest
	}
	return true
}

// list is the elements, first element first.
func (c *cells) list() []int32 {
	out := make([]int32, c.len())
	for k := len(out) - 1; k >= 0; k-- {
		out[k] = c.value
		c = c.rest
	}
	return out
}

// Bytes is about what the last step allocated: the rest is shared.
func (c *cells) Bytes() int { return 32 }
