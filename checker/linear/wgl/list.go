package wgl

// list is a doubly linked list of some of the numbers from 0 to n, ascending.
// What is removed last must be restored first (Knuth, "Dancing Links", 2000).
type list struct {
	next, prev []int32 // entry n is the head and the tail
}

func newList(n int) list {
	l := list{make([]int32, n+1), make([]int32, n+1)}
	for i := range n + 1 {
		l.next[i], l.prev[i] = int32(i+1), int32(i-1)
	}
	l.next[n], l.prev[0] = 0, int32(n)
	return l
}

// first is n if the list is empty.
func (l *list) first() int32 { return l.next[len(l.next)-1] }

func (l *list) remove(i int32) {
	n, p := l.next[i], l.prev[i]
	l.next[p], l.prev[n] = n, p
}

func (l *list) restore(i int32) {
	l.next[l.prev[i]], l.prev[l.next[i]] = i, i
}
