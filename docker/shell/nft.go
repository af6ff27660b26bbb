package shell

import (
	"context"
	"strings"

	"github.com/netsim-lab/netsim/nat"
)

// runNft is nft, to look at the tables that iptables keeps: list ruleset, tables, chains, table and chain. It changes none.
func runNft(_ context.Context, c *Call) int {
	opts, words, err := getopt(c.Args[1:], "+n a s y v nn numeric version handle stateless")
	switch {
	case err != nil:
		return c.badOption(err)
	case opts.has("v", "version"):
		c.Printf("nftables v1.0.6 (Lester Gooch #5)\n")
		return 0
	case opts.has("a", "s", "handle", "stateless"):
		return c.fail(1, "only the usual look of rules is there: no -a, no -s")
	case len(words) == 0:
		return c.fail(1, "no command specified")
	}
	words = strings.Fields(strings.Join(words, " "))
	if len(words) < 2 || words[0] != "list" {
		return c.fail(1, "%s: the rules are iptables': change them with iptables; nft lists them: nft list ruleset", strings.Join(words, " "))
	}
	what, names := words[1], words[2:]
	family := "ip"
	if len(names) > 0 && strings.Contains(" ip ip6 inet arp bridge netdev ", " "+names[0]+" ") {
		family, names = names[0], names[1:]
	}
	all := c.Sys.NS.Netfilter().NFTables()
	if family != "ip" {
		all = nil // there is IPv4 alone
	}
	need := map[string]int{"ruleset": 0, "tables": 0, "chains": 0, "table": 1, "chain": 2}
	if n, ok := need[what]; !ok || n != len(names) {
		return c.fail(1, "%s: lists are: ruleset, tables, chains, table [ip] NAME, chain [ip] TABLE CHAIN", strings.Join(words, " "))
	}
	found := false
	for _, t := range all {
		if len(names) == 0 || names[0] == t.Name {
			found = c.nftTable(t, what, names) || found
		}
	}
	if found || len(names) == 0 {
		return 0
	}
	line := strings.Join(words, " ")
	at := len(line) - len(names[len(names)-1])
	c.say("Error: No such file or directory\n%s\n%s%s", line, strings.Repeat(" ", at), strings.Repeat("^", len(line)-at))
	return 1
}

// nftTable prints a table, or the part of it that is asked for; false: it has no such chain.
func (c *Call) nftTable(t nat.NFTable, what string, names []string) bool {
	if what == "tables" {
		c.Printf("table ip %s\n", t.Name)
		return true
	}
	chains := t.Chains
	if what == "chain" {
		chains = nil
		for _, ch := range t.Chains {
			if ch.Name == names[1] {
				chains = []nat.NFChain{ch}
			}
		}
		if chains == nil {
			return false
		}
	}
	if what != "chains" {
		c.say("# Warning: table ip %s is managed by iptables-nft, do not touch!", t.Name)
	}
	c.Printf("table ip %s {\n", t.Name)
	for i, ch := range chains {
		if i > 0 && what != "chains" {
			c.Printf("\n")
		}
		c.Printf("\tchain %s {\n", ch.Name)
		if ch.Base != "" {
			c.Printf("\t\t%s\n", ch.Base)
		}
		if what != "chains" {
			for _, r := range ch.Rules {
				c.Printf("\t\t%s\n", r)
			}
		}
		c.Printf("\t}\n")
	}
	c.Printf("}\n")
	return true
}
