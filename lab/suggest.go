package lab

import (
	"fmt"
	"strings"
)

// near ends a message about an unknown name with the known name that is most like it, if any is.
func near(name string, known []string) string {
	best, bestRank := "", 3+1
	for _, k := range known {
		if r := distance(strings.ToLower(name), strings.ToLower(k)); r < bestRank && r < len(name) {
			best, bestRank = k, r
		}
	}
	if best == "" {
		for _, k := range known {
			if len(name) >= 2 && (strings.HasPrefix(k, name) || strings.Contains(k, "/"+name)) {
				best = k
				break
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the edit distance of two names, in bytes; long names are far from everything.
func distance(a, b string) int {
	if len(a) > 128 || len(b) > 128 {
		return 128
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
