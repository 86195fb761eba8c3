package wgl

import (
	"fmt"
	"reflect"
)

// crowd bounds how many earlier operations an operation is compared with.
const crowd = 64

// twins gives completed operations that were open at the same time, ask the
// same and were answered the same the same kind; 0 is for those without a
// twin. In any legal order two of them may change places so that the first to
// return comes first. nil if there are none.
func twins[S, In, Out any](s *search[S, In, Out]) []int32 {
	if !reflect.TypeFor[In]().Comparable() || !reflect.TypeFor[Out]().Comparable() {
		return nil
	}
	var kinds []int32
	next := int32(1)
	var open []int32
	for i := range s.n {
		if s.pure[i] {
			continue
		}
		o := s.op(i)
		kept := open[:0]
		twin := int32(-1)
		for _, j := range open {
			p := s.op(j)
			if p.Return < o.Call {
				continue
			}
			kept = append(kept, j)
			if twin < 0 && any(p.In) == any(o.In) && any(p.Out) == any(o.Out) {
				twin = j
			}
		}
		open = kept
		if len(open) < crowd {
			open = append(open, i)
		}
		if twin < 0 {
			continue
		}
		if kinds == nil {
			kinds = make([]int32, s.n)
		}
		if kinds[twin] == 0 {
			kinds[twin] = next
			next++
		}
		kinds[i] = kinds[twin]
	}
	return kinds
}

// crashedTwins gives crashed operations that ask the same the same class, and
// each its turn in it, in order of their calls: where a later one fits, the
// earlier one does too. used has an entry for each class.
func crashedTwins[S, In, Out any](s *search[S, In, Out]) (class, turn, used []int32) {
	n := len(s.ops) - int(s.n)
	class, turn = make([]int32, n), make([]int32, n)
	comparable := reflect.TypeFor[In]().Comparable()
	first := map[any]int32{} // the first of each class
	for k := range int32(n) {
		in := s.op(s.n + k).In
		var name any = in
		if !comparable {
			name = fmt.Sprintf("%#v", in)
		}
		f, ok := first[name]
		// Texts may be equal for what is not.
		if ok && (comparable || reflect.DeepEqual(s.op(s.n+f).In, in)) {
			class[k] = class[f]
			turn[k] = used[class[f]]
			used[class[f]]++
			continue
		}
		first[name] = k
		class[k] = int32(len(used))
		used = append(used, 1)
	}
	clear(used)
	return class, turn, used
}
