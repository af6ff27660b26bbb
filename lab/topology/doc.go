// Package topology reads topology files: one YAML document that describes the
// cabling, the Docker engines, the networks, services and containers of a lab,
// and the steps that show what it does.
//
// Parse turns the text into a Spec of plain typed values, in the order in
// which they are written (Docker gives out addresses in that order), with all
// defaults filled in. It checks the whole file before anything runs and
// reports every mistake at once, each with file:line:column and, where a
// similar name exists, a suggestion. A Spec holds no running thing and may be
// read from several goroutines.
//
// # Defaults
//
//   - name: the file's base name without its extension; seed: 1; compat: guide, which is Docker of 2017 as far as networks go,
//     with today's API; "17.03" has the API of then, too (1.26), to which docker service create, scale and update return
//     at once and newer flags are unknown; modern has the networks of today
//   - networks: driver bridge; host: for bridge, macvlan and ipvlan networks the hosts
//     whose containers use the network, or every engine host if none does; parent: none, which
//     keeps a macvlan or ipvlan network on its host; mode: bridge of macvlan, l2 of ipvlan;
//     ipam: the engine's own driver, and no options
//   - services: replicas 1, mode replicated, endpoint_mode vip
//   - ports: protocol tcp, mode ingress; published 0 lets the engine choose
//   - containers: networks [bridge], the default bridge
//   - switches: stp off; with it the rapid protocol, priority 32768, costs by the rate
//     of the cable (2000 without one); every port in VLAN 1
//   - links: no delay, no loss, no rate limit, MTU 1500; queue 1000 frames where
//     there is a rate; jitter keeps the order unless overtake is true
//   - fabric: listen 127.0.0.1:4789 if a node has a remote address; without a port that has
//     port 4789, too; vni of a link follows from the names of its ends
//   - hosts: gso auto; kernel false. A host with kernel: true is a network namespace of the machine's kernel, which the lab
//     makes: its links are TAP devices eth0 and so on, and steps run there with the machine's /bin/sh and commands
//   - balancers: mode tcp, balance roundrobin, no cookie, backends are not told of the client; check: a connection every 2s
//     within 1s, rise 2, fall 3. A backend's name stands for its address on a link to where the balancer is, or else its
//     first; a balancer is a host otherwise, without an engine
//   - internet: gateway on every segment with a host, at an address that is free there; the default route of hosts and
//     routers without one leads to it; names: no delay (it is of each way, as that of a link), no web server
//   - tap, of a switch or host, one or a list: name the kernel's next (tap0), netns that in which netsim runs, address (of
//     the kernel's end) none; host_address, a host's own end, has to be given
//   - needs: nothing; root, or the name of a command that the machine must have
//   - routes: metric 0; via is one gateway, or a list of them that share the flows
//   - steps: name is the command (or "expect on NODE"), status 0 when there is a command,
//     retry 250ms when within is given; one that only changes the fabric (link, partition,
//     heal) needs no node. It runs on a host, in a container or task of the file, or in a container that the
//     docker commands of an earlier step make by --name
//   - lb_spread: requests 10, backends 2
//
// # Limits
//
// A file is at most 1 MiB, nests at most 64 levels, and has at most 200,000
// values after aliases are followed and 4096 entries in one list or mapping.
package topology
