// Package set infers the dependencies of transactions that add elements to sets
// and read these whole. The elements of a set are unique, so that a read tells
// of each add whether it came before or after: who sees an element depends on
// its adder (wr), and who misses it precedes the adder (rw). Adds commute, so
// that there is no order between them (ww), and no G0. Kingsbury and Alvaro,
// Elle (VLDB 2020), section 3, on what sets tell and lists tell besides.
package set

import (
	"fmt"

	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Infer finds the dependencies and the anomalies that need no cycle. It is an
// error if the transactions are of another kind, or if an element was added to
// its set twice: then nothing follows from reading it.
func Infer(l *log.Log) (*infer.Inference, error) {
	x := &sets{log: l, adds: make([][]int32, len(l.Keys)), numbers: map[element]int32{}}
	if err := x.gather(); err != nil {
		return nil, err
	}
	x.read = make([]int32, len(x.added))
	x.before = make([]int32, len(x.added))
	x.part = make([]int32, len(l.Txns))
	x.sees, x.misses = make([]int32, len(l.Txns)), make([]int32, len(l.Txns))
	x.room = 24*len(l.Mops) + 1<<22
	for t := range l.Txns {
		if l.Txns[t].Outcome == log.OK {
			x.transaction(int32(t))
		}
	}
	x.out.Evidence = x.evidence
	if x.left > 0 {
		x.out.Open = append(x.out.Open, fmt.Sprintf("%d anti-dependencies were left out, as reads miss very many elements", x.left))
	}
	return &x.out, nil
}

// element is one of a set.
type element struct {
	key   int32
	value log.Value
}

// add is who added an element; None if nobody did.
type add struct {
	element
	txn, mop int32
}

// sets has the elements of all sets by numbers.
type sets struct {
	log     *log.Log
	numbers map[element]int32
	added   []add     // by element
	adds    [][]int32 // by key: its elements that somebody added
	out     infer.Inference

	// What the reads so far saw, by the number of the read, from 1: of each
	// element the last one that has it, and that a later one within its
	// transaction must have; of each transaction the last one that has an
	// element of it.
	reads              int32
	read, before, part []int32
	// By transaction: the last one that depends on it, and that it must come
	// after, plus one.
	sees, misses []int32
	room, left   int // for anti-dependencies, and those there was none for
}

// number finds or makes that of an element.
func (x *sets) number(e element) int32 {
	n, known := x.numbers[e]
	if !known {
		n = int32(len(x.added))
		x.numbers[e] = n
		x.added = append(x.added, add{e, infer.None, infer.None})
	}
	return n
}

// gather finds all elements and who added them.
func (x *sets) gather() error {
	for t := range x.log.Txns {
		for i := x.log.Txns[t].First; i < x.log.Txns[t].Last; i++ {
			m := x.log.Mops[i]
			switch m.Fun {
			case log.Set, log.Blind:
			case log.Add:
				n := x.number(element{m.Key, m.Value})
				a := &x.added[n]
				if a.txn != infer.None {
					return fmt.Errorf("%s was added to key %s twice, by %s and %s: nothing follows from reading it",
						x.log.Text(m.Value), x.log.Keys[m.Key], x.log.Name(a.txn), x.log.Name(int32(t)))
				}
				a.txn, a.mop = int32(t), i
				x.adds[m.Key] = append(x.adds[m.Key], n)
			default:
				return fmt.Errorf("%s is not a transaction on sets: want [add key element] and [r key elements]", x.log.Name(int32(t)))
			}
		}
	}
	for _, m := range x.log.Mops {
		for _, v := range x.log.Elements(m) {
			x.number(element{m.Key, v})
		}
	}
	return nil
}
