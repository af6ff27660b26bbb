package main

import (
	"fmt"
	"net"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdUDPPort finds a port for a process that is started later, since each part of a lab must know those of the others.
func cmdUDPPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: udpport VARIABLE")
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ts.Check(err)
	ts.Check(conn.Close())
	ts.Setenv(args[0], fmt.Sprint(conn.LocalAddr().(*net.UDPAddr).Port))
}
