package lb

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// banner begins every listing of services. The size is that of the kernel's hash table, which ours does not have.
const banner = "IP Virtual Server version 1.2.1 (size=4096)\n"

// listServices prints services with the numbers of their connections.
func listServices(services []Service) string {
	var b strings.Builder
	b.WriteString("Prot LocalAddress:Port Scheduler Flags\n")
	b.WriteString("  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n")
	for _, s := range services {
		fmt.Fprintf(&b, "%s %s\n", s.Key.column(), s.Scheduler)
		for _, d := range s.Destinations {
			fmt.Fprintf(&b, "  -> %-28s %-7s %-6d %-10d %d\n", d.Addr, "Masq", d.Weight, d.ActiveConn, d.InActConn)
		}
	}
	return b.String()
}

// listStats prints services with their counters.
func listStats(services []Service, exact bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-33s %8s %8s %8s %8s %8s\n", "Prot LocalAddress:Port", "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes")
	b.WriteString("  -> RemoteAddress:Port\n")
	for _, s := range services {
		fmt.Fprintf(&b, "%-33s%s\n", s.Key.column(), statColumns(s.Stats, exact))
		for _, d := range s.Destinations {
			fmt.Fprintf(&b, "  -> %-28s%s\n", d.Addr, statColumns(d.Stats, exact))
		}
	}
	return b.String()
}

func statColumns(s Stats, exact bool) string {
	var b strings.Builder
	for _, n := range []uint64{s.Conns, s.InPackets, s.OutPackets, s.InBytes, s.OutBytes} {
		text := strconv.FormatUint(n, 10)
		if !exact {
			text = largeNumber(n)
		}
		fmt.Fprintf(&b, " %8s", text)
	}
	return b.String()
}

// largeNumber keeps a number within nine columns.
func largeNumber(n uint64) string {
	switch {
	case n < 1e8:
		return strconv.FormatUint(n, 10)
	case n < 1e9:
		return strconv.FormatUint(n/1e3, 10) + "K"
	case n < 1e11:
		return strconv.FormatUint(n/1e6, 10) + "M"
	case n < 1e14:
		return strconv.FormatUint(n/1e9, 10) + "G"
	}
	return strconv.FormatUint(n/1e12, 10) + "T"
}

// listConnections prints the connection table.
func listConnections(conns []Connection) string {
	var b strings.Builder
	b.WriteString("IPVS connection entries\n")
	fmt.Fprintf(&b, "pro expire %-11s %-18s %-18s %s\n", "state", "source", "virtual", "destination")
	for _, c := range conns {
		left := int(c.Expires / time.Second)
		expire := fmt.Sprintf("%02d:%02d", left/60, left%60)
		fmt.Fprintf(&b, "%-3s %-6s %-11s %-18s %-18s %s\n", protoName(c.Proto), expire, c.State, c.Client, c.Virtual, c.Real)
	}
	return b.String()
}

// listRules prints services as the commands that make them, as ipvsadm -S does.
func listRules(services []Service) string {
	var b strings.Builder
	for _, s := range services {
		name := s.Key.option()
		fmt.Fprintf(&b, "-A %s -s %s\n", name, s.Scheduler)
		for _, d := range s.Destinations {
			fmt.Fprintf(&b, "-a %s -r %s -m -w %d\n", name, d.Addr, d.Weight)
		}
	}
	return b.String()
}

func listTimeouts(t Timeouts) string {
	return fmt.Sprintf("Timeout (tcp tcpfin udp): %d %d %d\n", t.TCP/time.Second, t.TCPFin/time.Second, t.UDP/time.Second)
}

// column returns what a listing calls the service.
func (k Key) column() string {
	kind, name := k.words()
	return fmt.Sprintf("%-4s %s", kind, name)
}

// option returns the words that name the service on a command line.
func (k Key) option() string {
	switch {
	case k.Mark != 0:
		return fmt.Sprintf("-f %d", k.Mark)
	case protoName(k.Proto) == "UDP":
		return "-u " + k.Addr.String()
	}
	return "-t " + k.Addr.String()
}
