package linear

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
	}
}
