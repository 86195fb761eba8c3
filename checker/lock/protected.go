package lock

import (
	"context"
	"fmt"
	"slices"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/history"
)

// NewProtected returns the checker named "protected-lists": an element whose
// save was acknowledged must be in what is looked at in the end. If no look
// that was asked for after its save has it, it is a "lost-update" where a save
// by another is known that wrote the list without it, else "lost". A look may
// be old: what one of them saw is there. An element that nobody saved, or whose
// save certainly failed, is a "phantom". O(n times the length of the lists).
func NewProtected() checker.Checker { return protected{} }

type protected struct{}

// Name is "protected-lists".
func (protected) Name() string { return "protected-lists" }

type protectedFigures struct {
	Lists        int            `json:"lists"`
	Acknowledged int            `json:"acknowledged"`
	Looks        int            `json:"looks"`
	Unseen       int            `json:"unseen"` // lists that were saved and not looked at
	Found        map[string]int `json:"found"`
}

// Check judges the history.
func (protected) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	all, err := locks(ctx, h)
	if err != nil {
		return checker.Result{}, err
	}
	var found finds
	d := protectedFigures{Lists: len(all)}
	for _, l := range all {
		d.Looks += len(l.looks)
		saved := l.acknowledged()
		d.Acknowledged += len(saved)
		if len(saved) > 0 && len(l.looks) == 0 {
			d.Unseen++
		}
		for _, s := range saved {
			l.judge(&found, s)
		}
		l.phantoms(&found)
	}
	d.Found = found.Counts
	res, err := found.Result(fmt.Sprintf("no element lost of %d that were saved in %d lists", d.Acknowledged, d.Lists), d)
	switch {
	case res.Verdict != checker.Valid:
	case d.Acknowledged == 0:
		res.Verdict, res.Reason = checker.Unknown, "no save was acknowledged"
	case d.Unseen > 0:
		res.Verdict, res.Reason = checker.Unknown, fmt.Sprintf("%d of %d lists were not looked at in the end", d.Unseen, d.Lists)
	}
	return res, err
}

// acknowledged are the saves that are ok and added something.
func (l *lockHistory) acknowledged() []*save {
	var out []*save
	for i := range l.saves {
		s := &l.saves[i]
		if _, adds := s.element(); adds && s.Outcome() == history.OK {
			out = append(out, s)
		}
	}
	return out
}

// judge looks for the element that a save added.
func (l *lockHistory) judge(found *finds, s *save) {
	x, _ := s.element()
	var last *look
	for i := range l.looks {
		r := &l.looks[i]
		if slices.Contains(r.list, x) {
			return
		}
		if r.Invoke.Index > s.Complete.Index {
			last = r
		}
	}
	if last == nil {
		return
	}
	kind, how, by := l.blame(s, x)
	events := []*history.Event{s.Invoke, s.Complete, last.Invoke, last.Complete}
	if by != nil {
		events = append(events, by.load, by.Invoke, by.Complete)
	}
	found.add(l.key, kind, func() string {
		return fmt.Sprintf("list %s: element %d, whose save by %s was acknowledged at %s, is in none of %d looks in the end, e.g. that of %s at %s, %v; %s", l.key, x,
			checker.Who(s.Complete), checker.When(s.Complete.Time), len(l.looks), checker.Who(last.Complete), checker.When(last.Complete.Time), last.list, how)
	}, events...)
}

// blame says how an element went: by a save of another who had loaded the list
// before it was there, or in the store.
func (l *lockHistory) blame(s *save, x int) (kind, how string, by *save) {
	by = l.overwriter(s, x)
	if by == nil {
		return "lost", "no save is known to have overwritten it: the store lost it", nil
	}
	wrote := fmt.Sprintf("%s wrote the list without it at %s (%v)", checker.Who(by.Invoke), checker.When(by.Invoke.Time), by.List)
	if by.load == nil {
		return "lost-update", wrote, by
	}
	loaded := checker.When(by.load.Time)
	if by.load.Index > s.Complete.Index {
		return "lost", fmt.Sprintf("%s, as it was not in what it had loaded at %s: the store lost it, or answered with an old list", wrote, loaded), by
	}
	return "lost-update", fmt.Sprintf("%s, which it had loaded at %s", wrote, loaded), by
}

// overwriter is the first save that may have come after another and wrote the
// list without its element, if possible an acknowledged one; nil if none did.
func (l *lockHistory) overwriter(s *save, x int) *save {
	var open *save
	for i := range l.saves {
		o := &l.saves[i]
		if o.Outcome() == history.Fail || slices.Contains(o.List, x) {
			continue
		}
		if o.Outcome() == history.OK && o.Complete.Index > s.Invoke.Index {
			return o
		}
		if open == nil && o.Outcome() == history.Info {
			open = o
		}
	}
	return open
}

// phantoms finds elements that cannot be there.
func (l *lockHistory) phantoms(found *finds) {
	outcome := map[int]history.Kind{}
	for i := range l.saves {
		if x, adds := l.saves[i].element(); adds {
			outcome[x] = l.saves[i].Outcome()
		}
	}
	told := map[int]bool{}
	for _, r := range l.looks {
		for _, x := range r.list {
			k, saved := outcome[x]
			if told[x] || saved && k != history.Fail {
				continue
			}
			told[x] = true
			found.add(l.key, "phantom", func() string {
				why := "nobody saved it"
				if saved {
					why = "its save failed"
				}
				return fmt.Sprintf("list %s: %s saw element %d at %s, but %s", l.key, checker.Who(r.Complete), x, checker.When(r.Complete.Time), why)
			}, r.Invoke, r.Complete)
		}
	}
}
