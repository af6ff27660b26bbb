package directory

import (
	"cmp"
	"slices"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// records are those of a network, in the order in which they came; one that changes keeps its place. The zero value is empty.
type records struct {
	byKey map[string]*placed
	came  uint64
}

type placed struct {
	cnm.Record
	place uint64
}

// put adds or changes a record.
func (rs *records) put(r cnm.Record) {
	if p := rs.byKey[r.Key]; p != nil {
		p.Record = r
		return
	}
	if rs.byKey == nil {
		rs.byKey = make(map[string]*placed)
	}
	rs.came++
	rs.byKey[r.Key] = &placed{r, rs.came}
}

// drop takes a record out.
func (rs *records) drop(key string) (r cnm.Record, ok bool) {
	p := rs.byKey[key]
	if p == nil {
		return cnm.Record{}, false
	}
	delete(rs.byKey, key)
	return p.Record, true
}

// list returns those that are wanted; nil: all.
func (rs *records) list(wanted func(key string) bool) []cnm.Record {
	all := make([]*placed, 0, len(rs.byKey))
	for key, p := range rs.byKey {
		if wanted == nil || wanted(key) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *placed) int { return cmp.Compare(a.place, b.place) })
	out := make([]cnm.Record, 0, len(all))
	for _, p := range all {
		out = append(out, p.Record)
	}
	return out
}
