package swarm

import (
	"fmt"
	"strings"
)

// constraint is a condition on the node of a task (W36).
type constraint struct {
	key, value string
	equal      bool
}

// parseConstraint reads "key == value" and "key != value".
func parseConstraint(text string) (constraint, error) {
	c := constraint{}
	var ok bool
	if c.key, c.value, ok = strings.Cut(text, "!="); !ok {
		if c.key, c.value, c.equal = strings.Cut(text, "=="); !c.equal {
			return c, fmt.Errorf("constraint %q: expected one of == and !=", text)
		}
	}
	c.key, c.value = strings.TrimSpace(c.key), strings.TrimSpace(c.value)
	if c.value == "" {
		return c, fmt.Errorf("constraint %q: it has no value", text)
	}
	switch c.key {
	case "node.id", "node.hostname", "node.role":
		return c, nil
	}
	for _, prefix := range []string{"node.labels.", "engine.labels."} {
		if strings.HasPrefix(c.key, prefix) && len(c.key) > len(prefix) {
			return c, nil
		}
	}
	return c, fmt.Errorf("constraint %q: unknown key %q; there are node.id, node.hostname, node.role, node.labels.NAME and engine.labels.NAME", text, c.key)
}

// match tells whether a node satisfies the condition. Values are compared without regard to case; a label that is
// missing is one that differs.
func (c constraint) match(n *node) bool {
	var have string
	switch c.key {
	case "node.id":
		return (n.ID == c.value) == c.equal
	case "node.hostname":
		have = n.Name
	case "node.role":
		have = n.Role.String()
	default:
		_, label, _ := strings.Cut(c.key, ".labels.")
		have = n.Labels[label]
	}
	return strings.EqualFold(have, c.value) == c.equal
}
