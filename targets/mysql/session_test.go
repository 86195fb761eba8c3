package mysql_test

import (
	"fmt"
	"testing"

	"github.com/capstan-dev/capstan/targets/mysql"
)

func TestMarked(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1":                             "SELECT 1 []",
		"SELECT v FROM t WHERE k = $1":         "SELECT v FROM t WHERE k = ? [7]",
		"UPDATE t SET v = $2 WHERE k = $1":     "UPDATE t SET v = ? WHERE k = ? [x 7]",
		"INSERT INTO t VALUES ($1, $1, $1,$2)": "INSERT INTO t VALUES (?, ?, ?,?) [7 7 7 x]",
	} {
		marked, args := mysql.Marked(sql, 7, "x")
		if got := fmt.Sprint(marked, " ", args); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
}
