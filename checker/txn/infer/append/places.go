package append

import "github.com/capstan-dev/capstan/checker/txn/log"

// places finds the elements of a list: by a table where they are numbers that
// lie close together, as they mostly do, else by a map.
type places struct {
	least log.Value
	size  int
	table []int32 // place+1, by element less least
	large map[log.Value]int32
	twice bool // an element is there twice
}

// newPlaces plans for a list.
func newPlaces(list []log.Value) (p places) {
	if len(list) == 0 {
		return p
	}
	least, most := list[0], list[0]
	for _, v := range list {
		least, most = min(least, v), max(most, v)
	}
	if span := int64(most) - int64(least) + 1; span <= int64(8*len(list)+64) {
		p.least, p.size = least, int(span)
	} else {
		p.large = make(map[log.Value]int32, len(list))
	}
	return p
}

// room is the size of the table.
func (p *places) room() int { return p.size }

// fill enters the list, into a table from the beginning of a larger one, and
// returns the rest of that.
func (p *places) fill(list []log.Value, tables []int32) []int32 {
	p.table, tables = tables[:p.size:p.size], tables[p.size:]
	for i, v := range list {
		if _, there := p.find(v); there {
			p.twice = true
			continue
		}
		if p.large != nil {
			p.large[v] = int32(i)
		} else {
			p.table[v-p.least] = int32(i + 1)
		}
	}
	return tables
}

// find is the place of an element.
func (p *places) find(v log.Value) (int32, bool) {
	if p.large != nil {
		at, ok := p.large[v]
		return at, ok
	}
	i := int64(v) - int64(p.least)
	if uint64(i) >= uint64(len(p.table)) {
		return 0, false
	}
	at := p.table[i] - 1
	return at, at >= 0
}
