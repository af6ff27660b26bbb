package shell

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// usageTexts are what tools say of how they are used: those of busybox 1.35, and of the packages of Debian 12 but for
// tcpdump's, whose version is that which its lines look like.
//
//go:embed usage
var usageTexts embed.FS

// busyboxBanner begins what an applet of busybox says of how it is used.
const busyboxBanner = "BusyBox v1.35.0 (2022-08-01 15:14:44 UTC) multi-call binary.\n\n"

// usageStatus are the exit statuses after an option that a tool does not know; 1 for all others.
var usageStatus = map[string]int{
	"arp": 3, "route": 0, "netstat": 3, "ping": 2, "traceroute": 2, "tracepath": 255, "curl": 2, "wget": 2, "ss": 255, "ip": 255,
	"bridge": 255, "ab": 22, "conntrack": 2, "hostname": 255, "pgrep": 2, "pkill": 2, "ls": 2, "sort": 2, "grep": 2, "egrep": 2,
	"fgrep": 2, "env": 125, "printenv": 2, "timeout": 125, "tty": 2, "which": 2, "awk": 2, "sysctl": 0, "iptables": 2,
}

// busyboxStatus are those of busybox's applets.
var busyboxStatus = map[string]int{"grep": 2, "egrep": 2, "fgrep": 2, "sort": 2}

// usageOf returns what a tool says of how it is used; "" if that is nothing. topic is the tool, or ip and one of its objects.
func (c *Call) usageOf(topic string) string {
	dir, banner := "full", ""
	if c.busybox() {
		dir, banner = "busybox", busyboxBanner
	}
	text, err := usageTexts.ReadFile("usage/" + dir + "/" + topic + ".txt")
	if err != nil {
		return ""
	}
	return banner + string(text)
}

// usage writes how the tool is used to the standard error and returns a status.
func (c *Call) usage(status int) int {
	c.say("%s", strings.TrimSuffix(c.usageOf(c.name()), "\n"))
	return status
}

// badUsage is what a tool does about arguments that are no use to it: in busybox it says how it is used; elsewhere it says
// what is wrong, and where to read more.
func (c *Call) badUsage(format string, args ...any) int {
	if c.busybox() && c.usageOf(c.name()) != "" {
		return c.usage(max(1, busyboxStatus[c.name()]))
	}
	c.say(c.name()+": "+format, args...)
	return c.explainUsage()
}

// badOption says what is wrong with the options, and how the tool is used.
func (c *Call) badOption(err error) int {
	c.say("%s", c.optionError(err))
	if c.busybox() {
		if c.usageOf(c.name()) == "" {
			return 1
		}
		return c.usage(max(1, busyboxStatus[c.name()]))
	}
	return c.explainUsage()
}

// explainUsage says how a tool is used, or where to read it, and returns its status.
func (c *Call) explainUsage() int {
	name := c.name()
	switch text := c.usageOf(name); {
	case name == "traceroute" || name == "nft": // which leave it at that
	case name == "curl":
		c.say("curl: try 'curl --help' or 'curl --manual' for more information")
	case name == "conntrack" || name == "iptables" || name == "ipvsadm":
		c.say("Try `%s -h' or '%[1]s --help' for more information.", name)
	case text != "":
		if name == "ab" {
			c.say("ab: wrong number of arguments")
		}
		c.say("%s", strings.TrimSuffix(text, "\n"))
	default:
		if name == "grep" || name == "egrep" || name == "fgrep" {
			c.say("Usage: grep [OPTION]... PATTERNS [FILE]...")
		}
		c.say("Try '%s --help' for more information.", name)
	}
	if status, ok := usageStatus[name]; ok {
		return status
	}
	return 1
}

// lists tells whether a usage text knows an option: by itself, or among others behind one dash.
func lists(text string, o *optionError) bool {
	if !utf8.ValidString(o.name) {
		return false
	}
	pattern := `(?m)(^|[\s,\[|])--` + regexp.QuoteMeta(o.name) + `\b`
	if !o.long {
		letter := regexp.QuoteMeta(o.name)
		pattern = `(?m)(^|[\s,\[|])-` + letter + `([\s,\]<|=]|$)|\[-[[:alnum:]#]*` + letter + `[[:alnum:]#]*\]`
	}
	return regexp.MustCompile(pattern).MatchString(text)
}

// optionError says what is wrong with the options in the tool's words.
func (c *Call) optionError(err error) string {
	name, o := c.name(), (*optionError)(nil)
	plain := name + ": " + err.Error()
	if c.busybox() || !errors.As(err, &o) {
		return plain
	}
	dashed := "-" + o.name
	if o.long {
		dashed = "-" + dashed
	}
	unknown := o.wrong == optionUnknown
	switch {
	case unknown && lists(c.usageOf(name), o):
		return name + ": option " + dashed + " of the real " + name + " is not available here"
	case name == "curl" && unknown:
		return "curl: option " + dashed + ": is unknown"
	case name == "curl" && o.wrong == optionNeedsValue:
		return "curl: option " + dashed + ": requires parameter"
	case name == "traceroute" && unknown:
		return fmt.Sprintf("Bad option `%s' (argc %d)", dashed, o.at)
	case name == "traceroute":
		return fmt.Sprintf("Option `%s' (argc %d) requires an argument", dashed, o.at)
	case (name == "host" || name == "ab") && unknown && !o.long:
		return name + ": illegal option -- " + o.name
	case name == "conntrack" && unknown:
		return "conntrack v1.4.3 (conntrack-tools): unknown option `" + dashed + "'"
	case name == "which" && unknown:
		return "Illegal option " + dashed
	case name == "awk" && unknown:
		return "awk: not an option: " + dashed
	case name == "redis-cli":
		return "Unrecognized option or bad number of args for: '" + dashed + "'"
	}
	return plain
}
