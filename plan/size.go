package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

type unit struct {
	name  string
	bytes int64
}

// units come largest first, and each before those that it ends with.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
	}
}

// ParseSize reads a number of bytes with a unit: "4GiB", "512MiB", "1.5GB".
func ParseSize(s string) (int64, error) {
	for _, u := range units() {
		num, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || !(v > 0) || v*float64(u.bytes) > math.MaxInt64/2 {
			break
		}
		return int64(v * float64(u.bytes)), nil
	}
	return 0, fmt.Errorf("parse size %q: want a number with a unit, like 512MiB or 4GiB", s)
}

// FormatSize writes what ParseSize reads back to the same number.
func FormatSize(n int64) string {
	for _, u := range units() {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
