package image

import "strings"

// Suggest returns the built-in image whose name is nearest to that of ref, and
// false if none is near: "redis" for "reddis", "chrch/web" for "church/web".
func Suggest(ref string) (name string, ok bool) {
	want := ref
	if r, err := ParseReference(strings.ToLower(ref)); err == nil {
		want = r.Name
	}
	if len(want) > 64 {
		return "", false
	}
	best := len(want)/3 + 2 // a distance that is no longer near
	for _, candidate := range Names() {
		if d := distance(want, candidate); d > 0 && d < best {
			name, best = candidate, d
		}
		if _, short, found := strings.Cut(candidate, "/"); found && short == want {
			return candidate, true
		}
	}
	return name, name != ""
}

// distance is the edit distance of two short strings, in bytes.
func distance(a, b string) int {
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
