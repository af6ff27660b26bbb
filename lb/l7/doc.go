// Package l7 is a load balancer that looks into what it carries: HTTP requests go by their Host header and path, TLS
// connections, which it does not open, by the server name in their first message, and plain TCP to whatever backend is
// next.
//
// Routes are plain values, which Claims reads from the labels of services; a Table finds the one of a request. A Router
// has them and keeps books of the backends; its Serve methods take connections from any listener, and it connects by a
// function, so the same code runs over the sockets of a namespace and over those of the machine.
package l7
