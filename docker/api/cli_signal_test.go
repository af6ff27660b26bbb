//go:build unix

package api

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

// TestCLIInterrupt presses Ctrl-C on docker commands without a terminal: run hands it on as a signal, the others end.
func TestCLIInterrupt(t *testing.T) {
	r := newRig(t)
	c := newCLI(t, r)
	c.run("docker pull -q busybox; docker run -d --name c1 busybox sleep infinity")
	c.run("docker run -d --name talk busybox sh -c 'echo one; sleep 1000'")
	for _, row := range []struct {
		name, line, trigger, await, want, exit string
	}{
		{"run", "docker run --rm busybox ping 172.17.0.1", "", "seq=0", "packets transmitted", ""},
		{"logs", "docker logs -f talk", "", "one", "one", "[exit 130]"},
		{"events", "docker events --filter type=network", "docker network create evnet", "network create", "(name=evnet, type=bridge)", ""},
		{"exec", "docker exec c1 ping 172.17.0.1", "", "seq=0", "seq=0", ""},
	} {
		cmd := c.command(soon(t), "exec "+row.line)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if row.trigger != "" {
			for late := soon(t); r.engine.Info().EventsSubscribers == 0 && late.Err() == nil; {
			}
			c.run(row.trigger)
		}
		var shown strings.Builder
		lines := bufio.NewReader(out)
		for !strings.Contains(shown.String(), row.await) {
			line, err := lines.ReadString('\n')
			shown.WriteString(line)
			if err != nil {
				t.Fatalf("%s: %v after %q, %s", row.name, err, shown.String(), &errs)
			}
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Error(err)
		}
		shown.Write(rest)
		exit := strings.TrimSpace(exitText(cmd.Wait()))
		if !strings.Contains(shown.String(), row.want) || row.exit != "" && exit != row.exit {
			t.Errorf("%s: %q %s; want %q %s; %s", row.name, shown.String(), exit, row.want, row.exit, &errs)
		}
	}
	if got := c.run("docker ps -a --format '{{.Names}}' | sort"); got != "c1\ntalk" {
		t.Errorf("left: %s", got)
	}
}

// TestCLIResize changes the size of a terminal, which the command in the container must see.
func TestCLIResize(t *testing.T) {
	r := newRig(t)
	c := newCLI(t, r)
	c.run("docker pull -q busybox; docker run -d --name c1 busybox sleep infinity")
	out := c.dialog("docker exec -it c1 sh", []string{"< / # ", `> stty size\r`, "< 24 80", "! 30 100",
		`> until stty size | grep '30 100'; do :; done\r`, "< done\r", "< 30 100", `> exit\r`})
	if strings.Contains(out, "was not shown") {
		t.Error(out)
	}
}
