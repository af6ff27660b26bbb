package shell

import "strings"

// usages are the first lines of what tools say of themselves after an option that they do not know, and their status.
var usages = map[string]struct {
	text   string
	status int
}{
	"nc": {"usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]", 1},
	"ss": {"Usage: ss [ OPTIONS ]\n       ss [ OPTIONS ] [ FILTER ]", 255},
	"tcpdump": {"tcpdump version 4.9.3\nlibpcap version 1.8.1\n" +
		"Usage: tcpdump [-aAbdDefhHIJKlLnNOpqStuUvxX#] [ -B size ] [ -c count ]", 1},
	"wget": {"Usage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options.", 2},
}

// badOption says what is wrong with the options, and how the tool is used.
func (c *Call) badOption(err error, status int) int {
	c.say("%s: %v", c.name(), err)
	u, ok := usages[c.name()]
	if !ok {
		return status
	}
	if c.busybox() { // an applet has its own
		return 1
	}
	c.say("%s", strings.TrimSpace(u.text))
	return u.status
}
