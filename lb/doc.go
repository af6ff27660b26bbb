// Package lb is the layer-4 load balancer of a network namespace, as Linux's IPVS is in masquerading (NAT) mode:
// virtual services keyed by protocol and address or by a firewall mark, schedulers rr, wrr, lc, wlc and sh, a
// connection table with IPVS's timeouts, and the listings of ipvsadm.
//
// Table holds the rules: a plain value without lock, clock or goroutine. Balancer puts a mutex around a Table and
// rewrites frames, one rewrite for a whole train. Neither starts anything: old connections go when they are met, and
// a few at a time as new packets come.
//
// Times are nanoseconds of Unix time, as in fabric.Frame.
package lb
