package log

import (
	"bytes"

	"github.com/capstan-dev/capstan/history"
)

// disturbance is an operation of the nemesis as a part of a file has it. There
// are few, so that they are left to the general reader.
type disturbance struct {
	pos  int32
	text []byte // of the whole operation
}

// event reads the operation.
func (d disturbance) event() (history.Event, error) {
	read := history.ReadEDN
	if s := (&scanner{b: d.text[1:]}); s.gap() == '"' {
		read = history.Read
	}
	h, err := read(bytes.NewReader(d.text))
	if err != nil || len(h.Events) != 1 || h.Events[0].Process != history.Nemesis {
		return history.Event{}, errOdd
	}
	return h.Events[0], nil
}

// disturbed adds the nemesis's operations of a part.
func (j *joiner) disturbed(p *part) error {
	for _, d := range p.nemesis {
		e, err := d.event()
		if err != nil {
			return err
		}
		if !p.indexed {
			e.Index = int(j.events + d.pos)
		}
		j.b.log.Nemesis = append(j.b.log.Nemesis, e)
	}
	return nil
}

// NemesisOf are the nemesis's events of a history.
func NemesisOf(h *history.History) []history.Event {
	var out []history.Event
	for i := range h.Events {
		if h.Events[i].Process == history.Nemesis {
			out = append(out, h.Events[i])
		}
	}
	return out
}
