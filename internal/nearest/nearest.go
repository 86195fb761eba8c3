// Package nearest finds the name that a user most likely meant.
package nearest

import "fmt"

// Name returns the element of names with the smallest edit distance to want,
// or "" if none is near enough to be a likely slip of the keyboard.
func Name(want string, names []string) string {
	best, dist := "", max(2, len(want)/3)+1
	for _, n := range names {
		if d := distance(want, n); d < dist {
			best, dist = n, d
		}
	}
	return best
}

// Hint is ` (did you mean "NAME"?)`, or empty if nothing is near.
func Hint(want string, names []string) string {
	if n := Name(want, names); n != "" && want != "" {
		return fmt.Sprintf(" (did you mean %q?)", n)
	}
	return ""
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(diag+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
