package lab_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric/kernel"
	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/labtest"
)

const kernelPair = `
netsim: 1
name: pair
fabric:
  switches: {tor: {}}
  hosts:
    ns1: {links: {tor: 10.1.0.11/24}, kernel: true}
    ns2: {links: {tor: 10.1.0.12/24}, kernel: true}
`

// BenchmarkKernelTAP measures one TCP stream of iperf3 between two namespaces of the kernel: over TAP devices and a
// simulated switch, with trains whole and frame by frame, and over veth pairs and a bridge of the kernel, in turns. The
// ratios are to the latter.
func BenchmarkKernelTAP(b *testing.B) {
	whole := withKernel(b, kernelPair, lab.Config{}, "iperf3", "awk", "ip")
	plain := withKernel(b, kernelPair, lab.Config{PlainTAP: true}, "iperf3", "awk", "ip")
	bridgeOfKernel(b, whole)
	var rates [3][]float64
	for b.Loop() {
		rates[0] = append(rates[0], iperf(b, whole, "ns1", "ns2", "10.1.0.12", "-t 1"))
		rates[1] = append(rates[1], iperf(b, plain, "ns1", "ns2", "10.1.0.12", "-t 1"))
		rates[2] = append(rates[2], iperf(b, whole, "ns1", "ns2", "10.3.0.12", "-t 1"))
	}
	for i := range rates {
		slices.Sort(rates[i])
	}
	median := func(i int) float64 { return rates[i][len(rates[i])/2] }
	b.ReportMetric(median(0)/1e9, "whole-Gbit/s")
	b.ReportMetric(median(1)/1e9, "plain-Gbit/s")
	b.ReportMetric(median(2)/1e9, "bridge-Gbit/s")
	b.ReportMetric(median(0)/median(2), "whole/bridge")
	b.ReportMetric(median(1)/median(2), "plain/bridge")
	b.ReportMetric(0, "ns/op")
}

// bridgeOfKernel connects the namespaces of a lab by a bridge of the kernel, too.
func bridgeOfKernel(b *testing.B, l *labtest.Lab) {
	b.Helper()
	ns, err := kernel.NewNamespace()
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { ns.Close() })
	lines := "ip link add br0 type bridge && ip link set br0 up"
	for i, name := range []string{"ns1", "ns2"} {
		lines += fmt.Sprintf(" && ip link add v%d type veth peer name veth0 netns %s && ip link set v%d up master br0", i, l.Node(name).Info().Netns, i)
	}
	if exit, err := ns.Run(b.Context(), kernel.Command{Args: []string{"/bin/sh", "-c", lines}}); err != nil || exit != 0 {
		b.Fatal(exit, err)
	}
	for i, name := range []string{"ns1", "ns2"} {
		line := fmt.Sprintf("ip addr add 10.3.0.1%d/24 dev veth0 && ip link set veth0 up", i+1)
		if exit, err := l.Node(name).Run(b.Context(), line, shell.Stdio{}); err != nil || exit != 0 {
			b.Fatal(exit, err)
		}
	}
}
