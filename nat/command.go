package nat

import (
	"slices"
	"strings"
)

// Command does what iptables does with these arguments and returns what it prints. An error is a *CommandError, whose text
// and exit status are iptables' own.
func (n *Netfilter) Command(args []string) (output string, err error) {
	p := &parser{n: n, args: slices.Clone(args), r: &rule{}, tableName: "filter"}
	if err := p.parse(); err != nil {
		return "", err
	}
	if p.showVersion {
		return "iptables " + version + "\n", nil
	}
	p.table = numTables
	for id, t := range tableSpecs {
		if t.name == p.tableName {
			p.table = tableID(id)
		}
	}
	if p.table == numTables {
		return "", &CommandError{Status: 3, Text: "iptables " + version + ": can't initialize iptables table `" + p.tableName +
			"': Table does not exist (do you need to insmod?)\nPerhaps iptables or your kernel needs to be upgraded."}
	}
	n.ruleMu.Lock()
	defer n.ruleMu.Unlock()
	return p.run(n.table(p.table))
}

// Append adds a rule, written as after iptables -A CHAIN, at the end of a chain.
func (n *Netfilter) Append(table, chain, spec string) error {
	return n.change(table, "-A", chain, spec)
}

// Insert adds a rule at the top of a chain.
func (n *Netfilter) Insert(table, chain, spec string) error {
	return n.change(table, "-I", chain, spec)
}

// Delete removes the first rule of a chain that is the same.
func (n *Netfilter) Delete(table, chain, spec string) error {
	return n.change(table, "-D", chain, spec)
}

// NewChain makes a chain.
func (n *Netfilter) NewChain(table, chain string) error { return n.change(table, "-N", chain, "") }

func (n *Netfilter) change(table, command, chain, spec string) error {
	_, err := n.Command(append([]string{"-t", table, command, chain}, splitWords(spec)...))
	return err
}

// splitWords splits at blanks. Quotes keep what is between them together, a backslash makes any character an ordinary
// one, but not between single quotes.
func splitWords(s string) []string {
	var words []string
	var word strings.Builder
	in, escaped, quote := false, false, rune(0)
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			in, escaped = true, false
		case c == '\\' && quote != '\'':
			escaped = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, in = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			word.WriteRune(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

// run does the command on its table. ruleMu is held.
func (p *parser) run(t *table) (string, error) {
	switch p.command {
	case 'A', 'I', 'R', 'C':
		return "", p.changeRules(t)
	case 'D':
		if p.num > 0 {
			return "", p.deleteNumber(t)
		}
		return "", p.changeRules(t)
	case 'N', 'X', 'P', 'E':
		return "", p.changeChains(t)
	}
	chains := t.sorted()
	if p.chain != "" {
		c := t.chains[p.chain]
		if c == nil {
			return "", errNoChain
		}
		chains = []*chain{c}
	}
	switch p.command {
	case 'F':
		for _, c := range chains {
			t.replace(c, nil)
		}
	case 'Z':
		for _, c := range chains {
			c.zero(p.num)
		}
	case 'S':
		return saveChains(chains, p.num, p.verbose), nil
	case 'L':
		l := &listing{verbose: p.verbose, numeric: p.numeric, exact: p.exact, lines: p.numbers}
		for i, c := range chains {
			if i > 0 {
				l.WriteByte('\n')
			}
			l.chain(c, p.num)
		}
		return l.String(), nil
	}
	return "", nil
}

func (c *chain) zero(num int) {
	if num == 0 {
		c.policy.zero()
	}
	for i, r := range c.list() {
		if num == 0 || num == i+1 {
			r.count.zero()
		}
	}
}

// replace gives a chain its rules and mends what depends on them.
func (t *table) replace(c *chain, rules []*rule) {
	jumps := false
	for _, r := range c.list() {
		if j := r.target.jump; j != nil {
			j.refs--
			jumps = true
		}
	}
	for _, r := range rules {
		if j := r.target.jump; j != nil {
			j.refs++
			jumps = true
		}
	}
	c.rules.Store(&rules)
	if jumps {
		t.rehook()
	}
}

// changeRules does -A, -I, -R, -C and -D of a rule that is spelled out.
func (p *parser) changeRules(t *table) error {
	rules, err := p.build(t)
	if err != nil {
		return err
	}
	c := t.chains[p.chain]
	if c == nil {
		return errNoChain
	}
	for _, r := range rules {
		if err := p.changeRule(t, c, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) changeRule(t *table, c *chain, r *rule) error {
	list := c.list()
	same := slices.IndexFunc(list, func(o *rule) bool { return o.text == r.text })
	if (p.command == 'D' || p.command == 'C') && same < 0 {
		return refused("Bad rule (does a matching rule exist in that chain?)")
	}
	switch p.command {
	case 'C':
		return nil
	case 'D':
		t.replace(c, slices.Delete(slices.Clone(list), same, same+1))
		return nil
	}
	if err := fits(c, r); err != nil {
		return err
	}
	at := max(p.num, 1) - 1
	switch {
	case p.command == 'A':
		t.replace(c, append(slices.Clip(list), r))
	case p.command == 'I' && at > len(list):
		return refused("Index of insertion too big")
	case p.command == 'I':
		t.replace(c, slices.Insert(slices.Clone(list), at, r))
	case at >= len(list):
		return refused("Index of replacement too big")
	default:
		list = slices.Clone(list)
		list[at] = r
		t.replace(c, list)
	}
	p.n.Enable()
	return nil
}

// fits tells whether a rule may stand in a chain, as the kernel does when it takes the table.
func fits(c *chain, r *rule) error {
	if only := r.target.table(); only != numTables && only != c.table.id {
		return badArgument()
	}
	if !r.target.allowedAt(c.hooks) {
		return badArgument()
	}
	if j := r.target.jump; j != nil {
		below := j.below()
		if slices.Contains(below, c) {
			return refused("Too many levels of symbolic links")
		}
		if slices.ContainsFunc(below, func(b *chain) bool { return !b.legal(c.hooks) }) {
			return badArgument()
		}
	}
	return nil
}

func (p *parser) deleteNumber(t *table) error {
	c := t.chains[p.chain]
	if c == nil {
		return errNoChain
	}
	if p.num > len(c.list()) {
		return refused("Index of deletion too big")
	}
	t.replace(c, slices.Delete(slices.Clone(c.list()), p.num-1, p.num))
	return nil
}

// changeChains does -N, -X, -E and -P.
func (p *parser) changeChains(t *table) error {
	c := t.chains[p.chain]
	switch p.command {
	case 'N':
		return t.newChain(p.chain)
	case 'X':
		return t.deleteChains(p.chain)
	case 'E':
		switch {
		case c == nil || c.builtIn:
			return errNoChain
		case t.chains[p.second] != nil:
			return refused("File exists")
		}
		if err := checkName(p.second); err != nil {
			return err
		}
		return t.rename(c, p.second)
	}
	switch {
	case c == nil || !c.builtIn:
		return refused("Bad built-in chain name")
	case p.second != "ACCEPT" && p.second != "DROP":
		return &CommandError{Status: 1, Text: "iptables: Bad policy name. Run `dmesg' for more information."}
	}
	c.drop.Store(p.second == "DROP")
	c.policy.zero()
	if p.second == "DROP" {
		p.n.Enable()
	}
	return nil
}

// unprintable tells whether a character of a name would not come back whole from a listing that a shell reads.
func unprintable(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("'\"\\", c) }

func checkName(name string) error {
	switch {
	case name == "" || strings.ContainsFunc(name, unprintable):
		return usage("Invalid chain name `%s'", name)
	case name[0] == '-' || name[0] == '!':
		return usage("chain name not allowed to start with `%c'", name[0])
	case len(name) > 28:
		return usage("chain name `%s' too long (must be under 29 chars)", name)
	case targetKinds[name] != targetNone:
		return usage("chain name may not clash with target name")
	}
	return nil
}

func (t *table) newChain(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if t.chains[name] != nil {
		return refused("Chain already exists")
	}
	t.chains[name] = &chain{table: t, name: name}
	return nil
}

// rename gives a chain a new name, in the rules that jump to it too.
func (t *table) rename(c *chain, name string) error {
	renamed := &chain{table: t, name: name}
	renamed.rules.Store(c.rules.Load())
	delete(t.chains, c.name)
	t.chains[name] = renamed
	for _, from := range t.chains {
		list := slices.Clone(from.list())
		for i, r := range list {
			if r.target.jump != c {
				continue
			}
			n := &rule{src: r.src, dst: r.dst, in: r.in, out: r.out, proto: r.proto, notProto: r.notProto, frag: r.frag,
				matches: r.matches, target: r.target}
			n.target.jump, n.target.name = renamed, name
			n.count.packets.Store(r.count.packets.Load())
			n.count.bytes.Store(r.count.bytes.Load())
			n.finish()
			list[i] = n
			renamed.refs++
		}
		from.rules.Store(&list)
	}
	t.rehook()
	return nil
}

// deleteChains removes a chain, or all that are empty and that no rule jumps to.
func (t *table) deleteChains(name string) error {
	if name != "" {
		c := t.chains[name]
		switch {
		case c == nil:
			return errNoChain
		case c.builtIn:
			return badArgument()
		case c.refs > 0:
			return refused("Too many links")
		case len(c.list()) > 0:
			return refused("Directory not empty")
		}
		delete(t.chains, name)
		return nil
	}
	for _, c := range t.sorted() {
		if !c.builtIn {
			if err := t.deleteChains(c.name); err != nil {
				return err
			}
		}
	}
	return nil
}
