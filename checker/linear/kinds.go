package linear

import (
	"github.com/capstan-dev/capstan/checker/linear/hold"
	"github.com/capstan-dev/capstan/checker/linear/objects"
)

// kind is a model by its name on the command line.
type kind struct {
	name, doc string
	valued    bool // it holds a value that can be given at the start
	open      func(*keyCalls) (problem, error)
}

// kinds are all models.
func kinds() []kind {
	return []kind{
		{"register", "read and write of a value", true, registerOf(false)},
		{"cas-register", "read, write and compare-and-set of a value", true, registerOf(true)},
		{"mutex", "acquire and release, also lock and unlock, by anyone", false, openLock(hold.Mutex())},
		{"owner-aware-mutex", "a mutex that only its owner, the process, may release", false, openLock(hold.Owned())},
		{"reentrant-mutex", "a mutex that its owner may acquire again", false, openLock(hold.Reentrant(reentrance))},
		{"fenced-mutex", "a mutex whose acquires return tokens that increase", false, openLock(hold.Fenced())},
		{"reentrant-fenced-mutex", "both", false, openLock(hold.ReentrantFenced(reentrance))},
		{"fifo-queue", "enqueue and dequeue, first in, first out; a dequeue of nil found nothing", false, openQueue(true)},
		{"unordered-queue", "enqueue and dequeue in any order", false, openQueue(false)},
		{"list", "append of unique elements, read of the whole list", false, openList},
		{"grow-set", "add of elements, read of the whole set", false, openGrowSet},
		{"add-remove-set", "add, remove and contains of an element; answered by whether it was added, removed, there", false, openPresence},
		{"kv", "put, append and get of a string", false, openKV},
		{"counter", "add of whole numbers, read of the sum", false, openCounter},
		{"add-and-get", "a counter whose adds return the new value", false, openAddGet},
		{"versioned-register", "read and write of a value, answered by [version value]", true, openVersions},
		{"stack", "push and pop; a pop of nil found nothing", false, openBox(objects.Stack, objects.PreferStack, verbs{"push": put, "pop": take}, "push", "pop")},
		{"priority-queue", "insert of whole numbers, delete-min; nil if there is none", false,
			openBox(objects.Priority, nil, verbs{"insert": put, "add": put, "delete-min": take, "poll": take}, "insert", "delete-min")},
		{"map", "put, get and delete by key", false, openMap},
		{"multi-register", "lists of reads and writes [f key value] of many registers, each list at one moment", true, openRegisters},
		{"txn", "lists of reads, writes and appends [f key value], each list at one moment (strict serializability, for few keys)", false, openTransactions},
		{"semaphore", "acquire and release of permits; --init is how many there are", true, openSemaphore},
	}
}

// Aliases are other names that people have for models; New takes them.
func Aliases() map[string]string {
	return map[string]string{
		"lock": "mutex", "owner-aware-lock": "owner-aware-mutex", "reentrant-lock": "reentrant-mutex", "fenced-lock": "fenced-mutex",
		"queue": "fifo-queue", "bag": "unordered-queue", "append-list": "list", "g-set": "grow-set", "gset": "grow-set",
		"unordered-map": "map", "add-get-counter": "add-and-get", "versions": "versioned-register",
	}
}
