package history

import (
	"fmt"
	"strconv"
	"strings"
)

var kindNames = [...]string{Invoke: "invoke", OK: "ok", Fail: "fail", Info: "info"}

// String is the kind's name in a history file.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) {
	if int(k) >= len(kindNames) {
		return nil, fmt.Errorf("no such kind: %d", uint8(k))
	}
	return []byte(kindNames[k]), nil
}

// UnmarshalText reads a kind's name, with or without Clojure's colon.
func (k *Kind) UnmarshalText(b []byte) error {
	kind, ok := kindOf(string(b))
	if !ok {
		return fmt.Errorf("unknown type %q, want invoke, ok, fail or info", b)
	}
	*k = kind
	return nil
}

func kindOf(name string) (Kind, bool) {
	switch strings.TrimPrefix(name, ":") {
	case "invoke":
		return Invoke, true
	case "ok":
		return OK, true
	case "fail":
		return Fail, true
	case "info":
		return Info, true
	}
	return 0, false
}
