// Package nat is the netfilter of one namespace: connection tracking, the tables raw, mangle, nat and filter with
// their chains and rules, and address translation. Netfilter.Run takes a packet through what Linux does at one of
// its five hooks, in Linux's order; Netfilter.Command reads and answers iptables command lines, and
// FormatConntrack prints connections as conntrack -L does. All of them see the very tables that packets use.
//
// Rules may change while packets flow. Packets of one connection cost one lookup in the connection table for each pass
// through the namespace, whatever the length of their train; only the first consults the nat rules.
//
// It is netfilter for IPv4. Frames of other protocols, and fragments that nobody put together, pass as they are.
package nat
