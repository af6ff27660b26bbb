package explain

import "github.com/netsim-lab/netsim/fabric"

// hint is what a reason means, and what would help.
type hint struct{ means, helps string }

var hints = map[fabric.DropReason]hint{
	fabric.DropTruncated:        {"the packet is shorter than its headers say", "look at who made it: netsim capture"},
	fabric.DropMalformed:        {"its headers make no sense", "look at who made it: netsim capture"},
	fabric.DropChecksum:         {"its checksum is wrong", "a cable with corrupt: damages packets; netsim link shows it"},
	fabric.DropQueueFull:        {"it came faster than it could be taken", "send slower, or give the link more rate"},
	fabric.DropLinkDown:         {"the cable or interface is down", "netsim link A B --up, or ip link set DEV up"},
	fabric.DropHopLimit:         {"it passed 128 devices: there is a loop", "take out one of the cables or bridge ports that make the loop"},
	fabric.DropNoReceiver:       {"nobody is connected there", "connect the port, or bring the interface up"},
	fabric.DropMTU:              {"it is larger than the link takes and must not be cut", "send smaller packets or raise the MTU; VXLAN takes 50 bytes"},
	fabric.DropVLAN:             {"the port is not in the packet's VLAN", "put both ports into one VLAN, or route between them"},
	fabric.DropHairpin:          {"it would leave by the port that it came in on", "hairpin on that port of the bridge"},
	fabric.DropReservedGroup:    {"it is for the switch itself and never forwarded", "nothing to do: IEEE 802.1D wants it so"},
	fabric.DropNotForUs:         {"its MAC or broadcast address is another's", "usually a flooded copy; else see ip neigh for a stale entry"},
	fabric.DropNoForwarding:     {"it is for another and the node does not forward", "sysctl net.ipv4.ip_forward=1, or another gateway"},
	fabric.DropNoRoute:          {"no route leads there", "see ip route; add a route or a default gateway"},
	fabric.DropTTL:              {"it passed too many routers", "look for a routing loop: traceroute"},
	fabric.DropNeighFailed:      {"nobody answered who has the address", "is the next hop up and on this network? see ip neigh"},
	fabric.DropNeighQueue:       {"too many packets wait for the next hop's MAC address", "is the next hop up? see ip neigh"},
	fabric.DropMartian:          {"its source or destination cannot come in there", "is the address used twice, or 127.0.0.0/8 on a wire?"},
	fabric.DropFilter:           {"a rule drops it", "see iptables -S and -t nat -S in that node; Docker keeps networks apart so"},
	fabric.DropReject:           {"a rule rejects it", "see iptables -S in that node"},
	fabric.DropNATExhausted:     {"no port is left to translate it to", "fewer connections at once, or more addresses"},
	fabric.DropConntrackFull:    {"the table of connections is full", "fewer connections at once"},
	fabric.DropConntrackInvalid: {"it belongs to no connection, or to another's", "try again: two connections were opened at once"},
	fabric.DropNoBackend:        {"the service has no task to send it to", "start a task: see ipvsadm -ln, docker service ps"},
	fabric.DropNoSocket:         {"no program listens on that port", "start it, or see ss -lntu for the port"},
	fabric.DropForeignVNI:       {"no network of the host has this VXLAN id", "the host must be on the overlay network, too"},
	fabric.DropNoRemote:         {"the overlay knows no host behind that MAC address", "is the container still there? see bridge fdb"},
	fabric.DropNotEncapsulated:  {"it must come in a tunnel and did not", "an overlay's address is reached from inside it only"},
	fabric.DropReassembly:       {"its fragments did not all arrive", "send smaller packets, or mend the lossy link"},
	fabric.DropLoss:             {"the cable lost it, as it was told to", "netsim link A B --loss 0 --both"},
	fabric.DropRate:             {"the cable is slower than what is sent, and its queue is full", "netsim link A B --rate, or send slower"},
	fabric.DropTransport:        {"the tunnel's socket did not take it", "see the log of netsim"},
	fabric.DropClosed:           {"what should take it has ended", "start the container or the lab again"},
	fabric.DropSTP:              {"the spanning tree keeps the port closed, so that there is no loop", "nothing to do: there is another way, or will be once the tree is built"},
	fabric.DropPartition:        {"the hosts are in different groups of a partition", "netsim link --heal ends it"},
	fabric.DropUnknownProto:     {"the node does not speak that protocol", "only IPv4, ARP, TCP, UDP, ICMP and, for encrypted overlays, ESP are spoken"},
	fabric.DropNotEncrypted:     {"it came in clear for an overlay that is encrypted", "who sends it has no keys: create the network with --opt encrypted everywhere"},
	fabric.DropESPNoKey:         {"the overlay is encrypted and there is no key for that host", "is the host in the swarm? see ip xfrm state"},
	fabric.DropESPUnknownSPI:    {"the host has no key of that number, or has it no more", "is the sender in the swarm and its key not older than two rotations? see ip xfrm state"},
	fabric.DropESPReplay:        {"its sequence number was there already, or is far behind the others", "somebody sends it again, or it was held up for long"},
	fabric.DropESPBadICV:        {"its seal is broken: it was changed on the way, or sealed with another key", "a cable with corrupt: damages packets; netsim link shows it"},
	fabric.DropESPSequence:      {"the key has sealed 4,294,967,295 packets and may seal no more", "rotate the keys more often"},
}

// Means says in words why a packet was dropped; empty for a reason that is none.
func Means(r fabric.DropReason) string { return hints[r].means }

// Hint says what would help against a drop; empty for a reason that is none.
func Hint(r fabric.DropReason) string { return hints[r].helps }
