package bench

const (
	viaIperf = ", iperf3"
	viaSelf  = ", the same load generator"
	ownPeer  = "netsim" // and not the kernel
)

// rows are all rows, in the order of the table.
func rows() []row {
	return append(append(throughput(), rates()...), growths()...)
}

func throughput() []row {
	const unit = "Gbit/s"
	return []row{
		{name: "tcp-bridge", work: "TCP, one stream, two containers on one bridge", unit: unit, peer: "kernel veth and bridge" + viaIperf,
			goals: atLeast(OfRatio, 3), measure: overTCP(containerAddr(1), (*rig).pair), against: kernelBridge},
		{name: "tcp-bridge-frames", work: "the same, every wire frame carried alone", unit: unit, peer: "kernel veth and bridge without offloads" + viaIperf,
			goals: atLeast(OfRatio, 1.2), measure: overTCP(containerAddr(1), (*rig).singly), against: kernelFrames},
		{name: "tcp-bridge-captured", work: "the same, captured to memory at the receiver", unit: unit, peer: "kernel veth and bridge, not captured" + viaIperf,
			goals: atLeast(OfRatio, 0.8), measure: captured, against: kernelBridge},
		{name: "tcp-bridge-ring", work: "the same, with the last packets remembered at both ends", unit: unit, peer: ownPeer + " without",
			goals: atLeast(OfRatio, 0.97), measure: overTCP(containerAddr(1), (*rig).remembered), against: unremembered},
		{name: "tcp-published", work: "TCP from outside through a published port", unit: unit, peer: "kernel nft DNAT and masquerade" + viaIperf,
			goals: atLeast(OfRatio, 2.5), measure: overTCP(hostIP, (*rig).publishing), against: kernelPublished},
		{name: "tcp-vip", work: "TCP through a service's VIP, IPVS in the client's namespace", unit: unit, peer: "kernel nft DNAT in the client's namespace" + viaIperf,
			goals: atLeast(OfRatio, 2.5), measure: overTCP(vip, (*rig).balanced), against: kernelVIP},
		{name: "tcp-vxlan", work: "TCP, two containers over VXLAN on the simulated underlay", unit: unit, peer: "kernel vxlan" + viaIperf,
			goals: atLeast(OfRatio, 2), measure: overTCP(containerAddr(1), (*rig).overlay), against: kernelVXLAN},
		{name: "tcp-mesh", work: "TCP from outside to a published port, by the routing mesh and VXLAN to a task on another host", unit: unit,
			peer: "kernel vxlan alone" + viaIperf, goals: atLeast(OfRatio, 1.5), measure: overTCP(hostIP, (*rig).mesh), against: kernelVXLAN},
		{name: "tcp-vxlan-esp", work: "the same, the overlay encrypted (ESP, AES-GCM)", unit: unit, peer: "kernel vxlan and xfrm" + viaIperf,
			goals: append(atLeast(OfValue, 5), atLeast(OfRatio, 1)...), measure: overTCP(containerAddr(1), (*rig).encrypted), against: kernelESP},
		{name: "tcp-vxlan-udp", work: "TCP over VXLAN over real UDP between two processes", unit: unit, peer: "kernel vxlan" + viaIperf,
			goals: atLeast(OfRatio, 0.8), measure: vxlanUDP, against: kernelVXLAN},
	}
}

func rates() []row {
	const startPeer = "kernel network namespaces plugged into a bridge by ip(8), 30 of them"
	start := append(atMost(OfRatio, 0.03), atMost(residentEach, 100)...)
	return []row{
		{name: "udp-small", work: "UDP, 18 bytes, 128 on their way at most", unit: "kpps", peer: "kernel veth and bridge" + viaSelf,
			goals: atLeast(OfRatio, 0.75), measure: bridging(exchanges["small"]), against: kernelSmall},
		{name: "rtt-idle", work: "UDP echo every 200 us, median", unit: "us", peer: "kernel veth and bridge" + viaSelf,
			goals: atMost(OfRatio, 4), measure: bridging(exchanges["round-trips"]), against: kernelRTT},
		{name: "connections", work: "new TCP connections a second through a published port: dial, echo a byte, close; 8 at once", unit: "k/s",
			peer: "kernel nft DNAT" + viaSelf, goals: atLeast(OfRatio, 0.5), measure: exchanges["connect"].measure(hostAddress, (*rig).publishing), against: kernelConnections},
		{name: "l2-forward", work: "60-byte frames through a switch between ports in memory", unit: "Mpps", goals: atLeast(OfValue, 10), measure: l2Forward},
		{name: "dns", work: "answers a second from 127.0.0.11, 200 queries waiting", unit: "k/s", peer: "dnsmasq on the kernel's loopback" + viaSelf,
			goals: atLeast(OfRatio, 0.5), measure: answers, against: kernelDNS},
		{name: "start-1000", work: "1,000 containers on one bridge, a listening socket each; time for each", unit: "ms", peer: startPeer,
			goals: start, measure: starting(1000), against: kernelStart},
		{name: "start-10000", work: "10,000 of them", unit: "ms", peer: startPeer,
			goals: start, measure: starting(10000), against: kernelStart},
		{name: "allocs", work: "heap allocations for each wire frame, bridged and routed", unit: "", goals: atMost(OfValue, noAllocs), measure: allocations},
	}
}

// noAllocs is what the runtime itself may allocate while a million frames pass.
const noAllocs = 0.001

func growths() []row {
	hops := []int{1, 2, 3, 4, 5, 6, 7, 8}
	const unit = "Gbit/s"
	return []row{
		{name: "growth-switches", work: "TCP, one stream across this many switches", unit: unit, points: hops, measureAt: acrossSwitches},
		{name: "growth-routers", work: "TCP, one stream across this many routers", unit: unit, points: hops, measureAt: acrossRouters},
		{name: "growth-flows", work: "TCP, this many streams between two containers", unit: unit, points: []int{1, 10, 100, 1000}, measureAt: withFlows},
		{name: "growth-containers", work: "TCP, one stream on a bridge with this many containers", unit: unit, points: []int{10, 100, 1000, 10000}, measureAt: amongContainers},
	}
}
