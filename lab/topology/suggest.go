package topology

import (
	"fmt"
	"strings"
)

// maxEdits is how many typing mistakes a suggestion forgives.
const maxEdits = 2

// didYouMean makes the end of a message out of what Nearest found.
func didYouMean(candidate string) string {
	if candidate == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", candidate)
}

// Nearest returns the candidate that name is most likely a misspelling or an
// abbreviation of, the first one of equals, or the empty string.
func Nearest(name string, candidates []string) string {
	best, bestRank := "", maxEdits+2
	for _, c := range candidates {
		if r := rank(name, c); r < bestRank {
			best, bestRank = c, r
		}
	}
	return best
}

// rank tells how far candidate is from name: the number of edits, or
// maxEdits+1 when one is the start of the other, or maxEdits+2 for neither.
func rank(name, candidate string) int {
	const far = maxEdits + 2
	a, b := strings.ToLower(name), strings.ToLower(candidate)
	if len(a) > 64 || len(b) > 64 {
		return far
	}
	if d := edits(a, b); d <= maxEdits && d < min(len(a), len(b)) {
		return d
	}
	if min(len(a), len(b)) >= 2 && (strings.HasPrefix(b, a) || strings.HasPrefix(a, b)) {
		return maxEdits + 1
	}
	return far
}

// edits returns the optimal string alignment distance of a and b: inserted,
// deleted, replaced and swapped neighbouring bytes. It gives up, returning
// more than maxEdits, when the lengths alone rule out a near match.
func edits(a, b string) int {
	if len(a)-len(b) > maxEdits || len(b)-len(a) > maxEdits {
		return maxEdits + 1
	}
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
