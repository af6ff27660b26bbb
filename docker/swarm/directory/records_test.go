package directory

import (
	"fmt"
	"slices"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
)

func TestRecordsKeepTheirOrder(t *testing.T) {
	var rs records
	for _, r := range []cnm.Record{{Key: "c"}, {Key: "a"}, {Key: "b"}, {Key: "c", Name: "changed"}} {
		rs.put(r)
	}
	if r, ok := rs.drop("a"); !ok || r.Key != "a" {
		t.Errorf("drop = %v, %v; want the record", r.Key, ok)
	}
	if r, ok := rs.drop("a"); ok {
		t.Errorf("drop = %v once more; want none", r.Key)
	}
	rs.put(cnm.Record{Key: "a", Name: "back"})
	var got []string
	for _, r := range rs.list(nil) {
		got = append(got, r.Key+r.Name)
	}
	if want := []string{"cchanged", "b", "aback"}; !slices.Equal(got, want) {
		t.Errorf("list = %q; want %q", got, want)
	}
	if some := rs.list(func(key string) bool { return key == "b" }); len(some) != 1 || some[0].Key != "b" {
		t.Errorf("list = %v of b only; want it", some)
	}
}

// A record comes and another goes, on a network with a thousand.
func BenchmarkRecords(b *testing.B) {
	var rs records
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("endpoint%017d", i)
		rs.put(cnm.Record{Key: keys[i]})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % len(keys) {
		r, _ := rs.drop(keys[i])
		rs.put(r)
	}
}
