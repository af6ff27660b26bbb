package shell

import (
	"strings"
	"testing"
)

// Every tool that takes a name asks the files as they are: a line that is written to /etc/hosts counts at once, and so does
// another name server (D24).
func TestToolsReadTheFiles(t *testing.T) {
	b := newBench(t)
	b.serveNames()
	b.serve(b.c2, ":80", replyWith("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n"))
	b.serve(b.c2, ":6379", replyWith("+PONG\r\n"))
	tools := map[string]string{
		"ping -c 1 NAME":                                      "1 received",
		"curl -s http://NAME/":                                "hi",
		"wget -qO- http://NAME/":                              "hi",
		"nc -zv NAME 80":                                      "succeeded",
		"traceroute -m 2 NAME":                                "(172.17.0.3)",
		"tracepath -m 2 NAME":                                 "reached",
		"mtr -r -c 1 -i 0.01 NAME":                            "0.0%",
		"getent hosts NAME":                                   "172.17.0.3",
		"hey -n 1 -c 1 http://NAME/":                          "[200]",
		"ab -n 1 -c 1 http://NAME/":                           "Complete requests:      1",
		"redis-cli -h NAME ping":                              "PONG",
		"ip route get $(getent hosts NAME | cut -d ' ' -f 1)": "172.17.0.3 dev eth0",
		"rm -f done; { tcpdump -i eth0 -c 1 host NAME; echo $? > done; } & until [ -e done ]; do ping -c 1 NAME; sleep 0.01; done > /dev/null 2>&1; wait; exit $(cat done)": "listening on eth0",
	}
	for _, write := range []string{"echo 172.17.0.3 shop.example >> /etc/hosts", "printf 'nameserver 172.17.0.3\noptions ndots:0\n' > /etc/resolv.conf"} {
		name, before := "shop.example", "echo nameserver 127.0.0.1 > /etc/resolv.conf"
		if strings.Contains(write, "resolv") {
			name, before = "web", "echo 127.0.0.1 localhost > /etc/hosts; "+before
		}
		for line, want := range tools {
			sys := &System{NS: b.c1.NS, Files: b.c1.Files}
			line = strings.ReplaceAll(line, "NAME", name)
			if _, errOut, code := b.run(sys, before+"; "+line); code == 0 && !strings.HasPrefix(line, "hey") || strings.Contains(errOut, "not found") {
				t.Errorf("%s: status %d, %q before there is such a name", line, code, errOut)
			}
			if out, errOut, code := b.run(sys, write+"; "+line); code != 0 || !strings.Contains(out+errOut, want) {
				t.Errorf("%s; %s: status %d\n%s%s", write, line, code, out, errOut)
			}
		}
	}
}
