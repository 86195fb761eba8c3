package history

import "unicode/utf8"

// maxDepth bounds the nesting of values, in JSON and in EDN.
const maxDepth = 1000

// skipValue finds the end of the JSON value that begins at b[i], in compact
// form only: white space between tokens makes it answer false, as does
// anything that is not JSON.
func skipValue(b []byte, i int) (end int, ok bool) { return skipNested(b, i, 0) }

func skipNested(b []byte, i, depth int) (int, bool) {
	if i >= len(b) || depth > maxDepth {
		return i, false
	}
	switch c := b[i]; {
	case c == '"':
		return skipString(b, i)
	case c == '-' || c >= '0' && c <= '9':
		return skipNumber(b, i)
	case c == '[':
		return skipArray(b, i, depth)
	case c == '{':
		return skipObject(b, i, depth)
	case c == 'n':
		return skipWord(b, i, "null")
	case c == 't':
		return skipWord(b, i, "true")
	case c == 'f':
		return skipWord(b, i, "false")
	}
	return i, false
}

func skipWord(b []byte, i int, word string) (int, bool) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

func skipArray(b []byte, i, depth int) (int, bool) {
	i++
	if i < len(b) && b[i] == ']' {
		return i + 1, true
	}
	for {
		var ok bool
		if i, ok = skipNested(b, i, depth+1); !ok || i >= len(b) {
			return i, false
		}
		switch b[i] {
		case ',':
			i++
		case ']':
			return i + 1, true
		default:
			return i, false
		}
	}
}

func skipObject(b []byte, i, depth int) (int, bool) {
	i++
	if i < len(b) && b[i] == '}' {
		return i + 1, true
	}
	for {
		var ok bool
		if i >= len(b) || b[i] != '"' {
			return i, false
		}
		if i, ok = skipString(b, i); !ok || i >= len(b) || b[i] != ':' {
			return i, false
		}
		if i, ok = skipNested(b, i+1, depth+1); !ok || i >= len(b) {
			return i, false
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1, true
		default:
			return i, false
		}
	}
}

func skipString(b []byte, i int) (int, bool) {
	start := i
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, utf8.Valid(b[start:i])
		case c < 0x20:
			return i, false
		case c == '\\':
			i++
			if i >= len(b) {
				return i, false
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(b)-i < 5 {
					return i, false
				}
				for _, h := range b[i+1 : i+5] {
					if !(h >= '0' && h <= '9' || h >= 'a' && h <= 'f' || h >= 'A' && h <= 'F') {
						return i, false
					}
				}
				i += 4
			default:
				return i, false
			}
		}
	}
	return i, false
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

func skipNumber(b []byte, i int) (int, bool) {
	if b[i] == '-' {
		i++
	}
	digits := i
	i = skipDigits(b, i)
	if i == digits || i-digits > 1 && b[digits] == '0' {
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		dot := i
		if i = skipDigits(b, i+1); i == dot+1 {
			return i, false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exp := i
		if i = skipDigits(b, i); i == exp {
			return i, false
		}
	}
	return i, true
}
