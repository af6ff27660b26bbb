package shell

import (
	"errors"
	"slices"
	"testing"
)

// kill and its kin reach the system's processes by number and name, and say what is not there as the tools do.
func TestKillProcesses(t *testing.T) {
	type sent struct{ pid, sig int }
	for _, row := range []struct {
		script, want string
		status       int
		sent         []sent
	}{
		{"kill 1", "", 0, []sent{{1, 15}}},
		{"kill -9 1", "", 0, []sent{{1, 9}}},
		{"kill -HUP 1", "", 0, []sent{{1, 1}}},
		{"kill -s SIGWINCH 6 1", "", 0, []sent{{6, 28}, {1, 28}}},
		{"kill -0 6", "", 0, []sent{{6, 0}}},
		{"kill -0 77", "kill: can't kill pid 77: No such process", 1, nil},
		{"kill 5", "kill: can't kill pid 5: not here", 1, nil},
		{"kill -NOPE 1", "kill: bad signal name 'NOPE'", 1, nil},
		{"kill --", "kill: you need to specify whom to kill", 2, nil},
		{"pkill nginx", "", 0, []sent{{1, 15}}},
		{"pkill -HUP ngin", "", 0, []sent{{1, 1}}},
		{"pkill -x ngin", "", 1, nil},
		{"pkill -9 -f 'infin'", "", 0, []sent{{6, 9}}},
		{"pkill", "pkill: no matching criteria specified\nTry `pkill --help' for more information.", 2, nil},
		{"pkill '('", "pkill: *", 2, nil},
		{"killall -9 sleep", "", 0, []sent{{6, 9}}},
		{"killall ngin", "ngin: no process found", 1, nil},
		{"pidof nginx", "1", 0, nil},
		{"pidof ngin", "", 1, nil},
		{"pgrep -l s", "6 sleep", 0, nil},
		{"pgrep -a nginx", "1 nginx -g daemon off;", 0, nil},
		{"pgrep -f .", "1\n6\n5", 0, nil},
	} {
		b := newBench(t)
		var got []sent
		b.c1.Processes = func() []Process {
			return []Process{{PID: 1, Command: "nginx -g daemon off;"}, {PID: 6, Command: "sleep infinity"}, {PID: 5, Command: "dockerd"}}
		}
		b.c1.Signal = func(pid, sig int) error {
			switch pid {
			case 1, 6:
				got = append(got, sent{pid, sig})
				return nil
			case 5:
				return errors.New("not here")
			}
			return ErrNoProcess
		}
		b.expect(b.c1, row.script, row.want, row.status)
		if !slices.Equal(got, row.sent) {
			t.Errorf("%s sent %v, want %v", row.script, got, row.sent)
		}
	}
}
