package topology

import "testing"

func TestNearestForgivesTwoMistakes(t *testing.T) {
	for _, row := range []struct {
		show, name string
		among      []string
		want       string
	}{
		{"a missing letter", "dognt", []string{"catnet", "dognet"}, "dognet"},
		{"swapped letters are one mistake", "dogent", []string{"dogxxt", "dognet"}, "dognet"},
		{"the other case", "DOGNET", []string{"dognet"}, "dognet"},
		{"the start of a name", "dog", []string{"dognet"}, "dognet"},
		{"the nearer one wins", "host-c", []string{"host-aa", "host-a"}, "host-a"},
		{"the first of equals wins", "host-c", []string{"host-a", "host-b"}, "host-a"},
		{"short names are not all alike", "ab", []string{"xy"}, ""},
		{"nothing near", "zebra", []string{"dognet"}, ""},
		{"no candidates", "zebra", nil, ""},
	} {
		if got := Nearest(row.name, row.among); got != row.want {
			t.Errorf("%s: Nearest(%q, %q) = %q; want %q", row.show, row.name, row.among, got, row.want)
		}
	}
}

func TestParseRate(t *testing.T) {
	for _, row := range []struct {
		text string
		want uint64
	}{
		{"1gbit", 1e9}, {"100Mbit", 1e8}, {"2.5kbit", 2500}, {"9600bit", 9600}, {"1gbit/s", 1e9},
		{"0mbit", 0}, {"1gb", 0}, {"gbit", 0}, {"-1mbit", 0}, {"999999999999tbit", 0}, {"1e3bit", 0},
	} {
		got, ok := parseRate(row.text)
		if got != row.want || ok != (row.want != 0) {
			t.Errorf("parseRate(%q) = %d, %v; want %d", row.text, got, ok, row.want)
		}
	}
}

func TestPlainImage(t *testing.T) {
	for image, want := range map[string]string{
		"redis": "redis", "redis:7": "redis", "library/redis": "redis", "docker.io/library/redis:7": "redis",
		"chrch/web:1.0": "chrch/web", "nginx@sha256:00": "nginx", "reg:5000/a": "reg:5000/a", "reg:5000/a:1": "reg:5000/a",
	} {
		if got := plainImage(image); got != want {
			t.Errorf("plainImage(%q) = %q; want %q", image, got, want)
		}
	}
}
