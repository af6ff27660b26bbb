package engine

import "testing"

// The table of execs forgets the oldest: those that have ended, those that nobody starts, and all of a container that is gone.
func TestExecTable(t *testing.T) {
	e := &Engine{execs: map[string]*Exec{}}
	running, gone := &Container{run: &run{}}, &Container{}
	zero := 0
	add := func(n int, x *Exec) (first *Exec) {
		for i := range n {
			one := &Exec{c: x.c, id: itoa(len(e.execs)), started: x.started, exit: x.exit}
			e.execs[one.id] = one
			e.execOrder = append(e.execOrder, one)
			if i == 0 {
				first = one
			}
		}
		return first
	}
	for _, row := range []struct {
		show string
		n    int
		exec *Exec
		want int
	}{
		{"ended", 3 * execsKept, &Exec{c: running, started: true, exit: &zero}, execsKept},
		{"waiting", 2 * execsWaiting, &Exec{c: running}, execsWaiting},
		{"of a container that does not run", 3 * execsKept, &Exec{c: gone}, execsKept},
		{"running", 3 * execsKept, &Exec{c: running, started: true}, 3 * execsKept},
	} {
		clear(e.execs)
		e.execOrder = nil
		first := add(row.n, row.exec)
		last := e.execOrder[row.n-1]
		e.dropExecs()
		if len(e.execs) != row.want || len(e.execOrder) != row.want || e.execs[last.id] != last {
			t.Errorf("%s: %d and %d are left; want %d, the last", row.show, len(e.execs), len(e.execOrder), row.want)
		}
		if kept := e.execs[first.id] != nil; kept != (row.want == row.n) {
			t.Errorf("%s: the first is kept: %v", row.show, kept)
		}
	}
}
