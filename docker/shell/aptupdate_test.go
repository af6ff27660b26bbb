package shell

import (
	"net"
	"sync/atomic"
	"testing"
)

// apt-get update asks the archive where the lab's internet has it, and says what came of it (A11).
func TestAptUpdateAsksTheArchive(t *testing.T) {
	b := newBench(t)
	at := atomic.Pointer[string]{}
	know := func(addr string) { at.Store(&addr) }
	ub := &System{NS: b.c1.NS, Flavour: Ubuntu, Files: func(path string) ([]byte, bool) {
		text, ok := files("ub", "172.17.0.2")(path)
		if path == "/etc/hosts" {
			text = append(text, *at.Load()+" "+archiveHost+"\n"...)
		}
		return text, ok
	}}
	const err1 = "Err:1 http://archive.ubuntu.com/ubuntu xenial InRelease\n"
	const failed = ": Failed to fetch http://archive.ubuntu.com/ubuntu/dists/xenial/InRelease  "
	const ignored = ": Some index files failed to download. They have been ignored, or old ones used instead."

	know("172.17.0.3")
	refused := "Could not connect to archive.ubuntu.com:80 (172.17.0.3). - connect (111: Connection refused)"
	b.expect(ub, "apt-get update", err1+"  "+refused+"\nReading package lists...\nW"+failed+refused+"\nW"+ignored, 0)
	know("172.17.0.9")
	nobody := "Could not connect to archive.ubuntu.com:80 (172.17.0.9). - connect (113: No route to host)"
	b.expect(ub, "apt-get update", err1+"  "+nobody+"\nReading package lists...\nW"+failed+nobody+"\nW"+ignored, 0)
	b.expect(ub, "apt-get install iputils-ping 2>&1 | tail -1", "E: Unable to locate package iputils-ping", 0)

	know("172.17.0.3")
	reply := atomic.Pointer[string]{}
	say := func(text string) { reply.Store(&text) }
	b.serve(b.c2, ":80", func(c net.Conn) { replyWith(*reply.Load())(c) })
	say("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n")
	b.expect(ub, "apt-get update", err1+"  404 Not Found\nReading package lists...\nE"+failed+"404 Not Found\nE"+ignored, 100)
	say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
	b.expect(ub, "apt-get update", err1+"  Connection failed\nReading package lists...\nW"+failed+"Connection failed\nW"+ignored, 0)
	say("nonsense\r\n\r\n")
	b.expect(ub, "apt-get update", err1+"  Connection failed\nReading package lists...\nW"+failed+"Connection failed\nW"+ignored, 0)
	say(okReply)
	b.expect(ub, "apt-get update", "Get:1 http://archive.ubuntu.com/ubuntu xenial InRelease [6 B]\nFetched 6 B in 0s (# B/s)\nReading package lists...", 0)
	b.expect(ub, "apt-get install iputils-ping | tail -1", "Setting up iputils-ping ...", 0)
}
