package shell

import "testing"

// nft shows the tables that iptables made, and leaves changes to it.
func TestNft(t *testing.T) {
	b := newBench(t)
	for _, rule := range []string{"-t nat -N DOCKER", "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
		"-t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", "-P FORWARD DROP"} {
		b.expect(b.host, "iptables "+rule, "", 0)
	}
	const natTable = `table ip nat {
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter packets 0 bytes 0 jump DOCKER
	}

	chain DOCKER {
		iifname != "docker0" tcp dport 8080 counter packets 0 bytes 0 dnat to 172.17.0.2:80
	}
}
`
	const filterTable = `table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}`
	for _, row := range []struct {
		script, want string
		status       int
	}{
		{"nft list ruleset 2>/dev/null", natTable + filterTable, 0},
		{"nft 'list ruleset ip' 2>&1 >/dev/null", "* Warning: table ip nat is managed by iptables-nft, do not touch!\n* Warning: table ip filter is managed by iptables-nft, do not touch!", 0},
		{"nft list ruleset ip6", "", 0},
		{"nft list tables", "table ip nat\ntable ip filter", 0},
		{"nft list table nat 2>/dev/null", natTable, 0},
		{"nft -n list chain ip filter FORWARD 2>/dev/null", filterTable, 0},
		{"nft list chains | grep -c chain", "3", 0},
		{"nft list table ip foo", "Error: No such file or directory\nlist table ip foo\n              ^^^", 1},
		{"nft list chain nat foo", "Error: No such file or directory\nlist chain nat foo\n               ^^^", 1},
		{"nft list sets", "nft: list sets: lists are: ruleset, tables, chains, table [ip] NAME, chain [ip] TABLE CHAIN", 1},
		{"nft", "nft: no command specified", 1},
		{"nft flush ruleset", "nft: flush ruleset: the rules are iptables': change them with iptables; nft lists them: nft list ruleset", 1},
	} {
		b.expect(b.host, row.script, row.want, row.status)
	}
}
