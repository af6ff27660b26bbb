package topology

import (
	"strconv"
	"strings"
)

func (c *checker) checkSteps() {
	made := madeBy(c.spec.Steps)
	for i := range c.spec.Steps {
		s := &c.spec.Steps[i]
		made.now = i
		c.settleNode(&s.On, made)
		c.checkChange(s)
		for _, seen := range s.Expect.SourceSeen {
			if seen.At != nil {
				c.settleNode(seen.At, made)
			}
		}
		c.checkKernelStep(s)
	}
}

// settleNode finds out what a node's text names, or reports that it names
// nothing. A slot may be larger than the service's replicas: a step before
// may scale it.
func (c *checker) settleNode(n *Node, by made) {
	host, rest, split := strings.Cut(n.Text, "/")
	switch {
	case n.Text == "":
	case split:
		if _, ok := c.hosts[host]; !ok {
			c.failAt(n.Pos, "host %q is not defined%s", clip(host), c.near(host, c.hostNameList()))
			return
		}
		n.Host = host
		c.settleGuest(n, rest, by)
	case c.nodes[host].kind != "":
		n.Host = host
	case c.settleTask(n, host, by):
	default:
		c.unknownNode(n)
	}
}

// settleGuest finds what runs on a host under a name: a container or task of the file, or what an earlier step makes.
func (c *checker) settleGuest(n *Node, name string, by made) {
	if _, ok := c.containers[n.Host+"/"+name]; ok {
		n.Container = name
		return
	}
	if c.settleTask(n, name, by) {
		return
	}
	switch step, when := by.find(n.Host, name); when {
	case earlier:
		n.Container = name
		return
	case later:
		c.failAt(n.Pos, "container %q of host %q is made only by a later step, at %s", clip(name), n.Host, step.Pos)
		return
	}
	known := by.names(n.Host)
	for _, x := range c.spec.Containers {
		if x.Host.Name == n.Host {
			known = append(known, x.Name)
		}
	}
	for _, s := range c.spec.Services {
		known = append(known, s.Name+".1")
	}
	c.failAt(n.Pos, "host %q has no container or task %q%s", n.Host, clip(name), c.near(name, known))
}

// settleTask recognises SERVICE.SLOT, of a service of the file or one that an earlier step makes.
func (c *checker) settleTask(n *Node, text string, by made) bool {
	m := taskForm.FindStringSubmatch(text)
	if m == nil || c.services[m[1]] == nil && !by.service(m[1]) {
		return false
	}
	slot, _ := strconv.Atoi(m[2])
	if slot == 0 {
		c.failAt(n.Pos, "tasks of a service count from 1: write %s.1", m[1])
	}
	n.Service, n.Slot = m[1], slot
	return true
}

// unknownNode reports a name that is no host and no task, with the best help.
func (c *checker) unknownNode(n *Node) {
	if c.services[n.Text] != nil {
		c.failAt(n.Pos, "%q is a service; name one of its tasks, such as %s.1", n.Text, n.Text)
		return
	}
	var known []string
	for _, x := range c.spec.Containers {
		if x.Name == n.Text {
			c.failAt(n.Pos, "%q is a container; name it with its host: %s/%s", n.Text, x.Host.Name, x.Name)
			return
		}
		known = append(known, x.Host.Name+"/"+x.Name)
	}
	known = append(known, c.hostNameList()...)
	for _, s := range c.spec.Services {
		known = append(known, s.Name+".1")
	}
	c.failAt(n.Pos, "node %q is not defined%s", clip(n.Text), c.near(n.Text, known))
}
