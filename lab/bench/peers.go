package bench

import (
	"context"
	"fmt"
	"time"
)

// The peers: the same work on the machine's kernel.

var iperfTools = []string{"iperf3"}

// onBridge makes two namespaces, a and b, on a bridge in a third.
func onBridge(k *kernel) {
	k.add("sw")
	k.bridge("sw", "br0")
	k.plug("sw", "a", "10.0.0.2/16")
	k.plug("sw", "b", "10.0.0.3/16")
}

func kernelBridge(ctx context.Context, cfg Config) (float64, error) {
	return withKernel(ctx, iperfTools, onBridge, func(k *kernel) (float64, error) { return k.iperf("a", "b", "10.0.0.3", cfg.Duration) })
}

// kernelFrames has every wire frame cross the bridge alone.
func kernelFrames(ctx context.Context, cfg Config) (float64, error) {
	return withKernel(ctx, iperfTools, onBridge, func(k *kernel) (float64, error) {
		for ns, iface := range map[string][]string{"a": {"eth0"}, "b": {"eth0"}, "sw": {"va", "vb"}} {
			for _, i := range iface {
				if _, err := measureIn(ctx, k.name(ns), task{Role: "no-offload", Addr: i}); err != nil {
					return 0, err
				}
			}
		}
		return k.iperf("a", "b", "10.0.0.3", cfg.Duration)
	})
}

// published makes a container, a, on a host's bridge, whose ports the host publishes on 192.168.1.2, and a namespace
// outside, o, on the same network as the host.
func published(k *kernel) {
	k.add("h")
	k.bridge("h", "br0")
	k.ip("h", "addr add 10.0.0.1/16 dev br0")
	k.forward("h")
	k.plug("h", "a", "10.0.0.2/16")
	k.ip("a", "route add default via 10.0.0.1")
	k.add("o")
	k.cable("o", "192.168.1.10/24", "h", "192.168.1.2/24")
	k.nft("h", `table ip nat {
  chain prerouting { type nat hook prerouting priority -100; iifname "e0" ip daddr 192.168.1.2 dnat to 10.0.0.2; }
  chain postrouting { type nat hook postrouting priority 100; ip saddr 10.0.0.0/16 oifname != "br0" masquerade; }
}`)
}

func kernelPublished(ctx context.Context, cfg Config) (float64, error) {
	return withKernel(ctx, []string{"iperf3", "nft"}, published, func(k *kernel) (float64, error) {
		return k.iperf("o", "a", "192.168.1.2", cfg.Duration)
	})
}

// kernelVIP leads a virtual address to b by DNAT where a's own packets leave: not every kernel has IPVS.
func kernelVIP(ctx context.Context, cfg Config) (float64, error) {
	build := func(k *kernel) {
		onBridge(k)
		k.nft("a", `table ip nat { chain output { type nat hook output priority -100; ip daddr 10.0.0.100 dnat to 10.0.0.3; }; }`)
	}
	return withKernel(ctx, []string{"iperf3", "nft"}, build, func(k *kernel) (float64, error) {
		return k.iperf("a", "b", "10.0.0.100", cfg.Duration)
	})
}

// overlay makes two hosts joined by a cable, each with a bridge, a vxlan device in it, and a container.
func overlay(k *kernel) {
	k.add("ha")
	k.add("hb")
	k.cable("ha", "192.168.1.2/24", "hb", "192.168.1.3/24")
	for _, h := range []struct{ host, remote, ns, addr string }{
		{"ha", "192.168.1.3", "a", "10.0.0.2/16"}, {"hb", "192.168.1.2", "b", "10.0.0.3/16"},
	} {
		k.bridge(h.host, "br0")
		k.ip(h.host, "link add vx0 type vxlan id 4097 dstport 4789 dev e0 remote "+h.remote)
		k.ip(h.host, "link set vx0 master br0 up")
		k.plug(h.host, h.ns, h.addr)
		k.ip(h.ns, "link set eth0 mtu 1450")
	}
}

func kernelVXLAN(ctx context.Context, cfg Config) (float64, error) {
	return withKernel(ctx, iperfTools, overlay, func(k *kernel) (float64, error) { return k.iperf("a", "b", "10.0.0.3", cfg.Duration) })
}

// encrypted makes an overlay whose packets between the hosts are sealed as Docker has the kernel do it.
func encrypted(k *kernel) {
	overlay(k)
	const a, b = "192.168.1.2", "192.168.1.3"
	for _, host := range []struct{ ns, local, remote string }{{"ha", a, b}, {"hb", b, a}} {
		for _, sa := range [][3]string{{a, b, "0x1001"}, {b, a, "0x1002"}} {
			k.ip(host.ns, "xfrm state add src "+sa[0]+" dst "+sa[1]+" proto esp spi "+sa[2]+" reqid 1 mode transport aead rfc4106(gcm(aes)) 0x"+
				"00112233445566778899aabbccddeeff0000"+sa[2][2:]+" 64")
		}
		k.ip(host.ns, "xfrm policy add src "+host.local+"/32 dst "+host.remote+"/32 proto udp dport 4789 dir out tmpl src "+host.local+" dst "+
			host.remote+" proto esp reqid 1 mode transport")
	}
	for _, ns := range []string{"a", "b"} {
		k.ip(ns, "link set eth0 mtu 1424")
	}
}

func kernelESP(ctx context.Context, cfg Config) (float64, error) {
	return withKernel(ctx, iperfTools, encrypted, func(k *kernel) (float64, error) { return k.iperf("a", "b", "10.0.0.3", cfg.Duration) })
}

func kernelSmall(ctx context.Context, cfg Config) (float64, error) {
	return kernelExchange(ctx, nil, onBridge, [2]string{"a", "b"}, task{Role: "small", Addr: "10.0.0.3:" + datagramPort, Duration: cfg.Duration})
}

func kernelRTT(ctx context.Context, cfg Config) (float64, error) {
	return kernelExchange(ctx, nil, onBridge, [2]string{"a", "b"}, task{Role: "round-trips", Addr: "10.0.0.3:" + datagramPort, Duration: cfg.Duration})
}

func kernelConnections(ctx context.Context, cfg Config) (float64, error) {
	return kernelExchange(ctx, []string{"nft"}, published, [2]string{"o", "a"}, task{Role: "connect", Addr: hostAddress, Duration: cfg.Duration})
}

// kernelExchange runs an exchange from one namespace to another, both in one process as on netsim's side.
func kernelExchange(ctx context.Context, tools []string, build func(k *kernel), ends [2]string, t task) (float64, error) {
	return withKernel(ctx, tools, build, func(k *kernel) (float64, error) {
		t.Namespace = namespaces + k.name(ends[1])
		return measureIn(ctx, k.name(ends[0]), t)
	})
}

// units is how many namespaces the kernel makes in a measurement of how long that takes.
const units = 30

// kernelStart returns how long the kernel takes for a namespace that is plugged into a bridge, in milliseconds.
func kernelStart(ctx context.Context, _ Config) (float64, error) {
	return withKernel(ctx, nil, func(k *kernel) { k.add("sw"); k.bridge("sw", "br0") }, func(k *kernel) (float64, error) {
		start := time.Now()
		for i := range units {
			k.plug("sw", fmt.Sprintf("u%d", i), fmt.Sprintf("10.0.0.%d/16", i+2))
		}
		return float64(time.Since(start).Microseconds()) / 1e3 / units, k.err
	})
}
