// Package iperf is iperf3: the program's real protocol, as client and as server, over the sockets that it is handed. A real
// iperf3 may be at the other end.
//
// The two ends talk over one TCP connection of control: a byte for each state of the test, and JSON, with its length in
// front, for what is to be done and what came of it. Streams are connections of their own that begin with the test's
// cookie, or UDP datagrams with a time and a number in front.
package iperf
