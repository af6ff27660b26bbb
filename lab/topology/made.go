package topology

import (
	"regexp"
	"strings"
)

// made knows the containers and services that the docker commands of steps make, as far as their text tells. Its zero value
// knows none.
type made struct {
	steps    []Step
	first    map[[2]string]int // the first step that makes a container of a name on a host; an empty name may be any
	order    []madeName
	services map[string]int // the first step that makes a service of a name
	now      int            // the step that asks
}

// madeName is a container that a step makes.
type madeName struct {
	host, name string
	step       int
}

// moment tells when a container is made.
type moment int

const (
	never moment = iota
	earlier
	later
)

// find returns the step that makes a container, and whether that is before the step that asks.
func (m made) find(host, name string) (*Step, moment) {
	if !nameForm.MatchString(name) {
		return nil, never
	}
	at, ok := m.first[[2]string{host, name}]
	guess, may := m.first[[2]string{host, ""}]
	switch {
	case ok && at < m.now:
		return &m.steps[at], earlier
	case may && guess < m.now:
		return &m.steps[guess], earlier
	case ok:
		return &m.steps[at], later
	}
	return nil, never
}

// service tells whether an earlier step makes a service.
func (m made) service(name string) bool {
	at, ok := m.services[name]
	return ok && at < m.now
}

// names returns the containers that are made on a host before the step that asks.
func (m made) names(host string) []string {
	var all []string
	for _, x := range m.order {
		if x.host == host && x.name != "" && x.step < m.now {
			all = append(all, x.name)
		}
	}
	return all
}

// madeBy reads the steps' commands.
func madeBy(steps []Step) made {
	m := made{steps: steps, first: map[[2]string]int{}, services: map[string]int{}}
	for i := range steps {
		for _, name := range servicesMade(steps[i].Run) {
			if _, twice := m.services[name]; !twice {
				m.services[name] = i
			}
		}
		for _, name := range containersMade(steps[i].Run) {
			key := [2]string{steps[i].On.Text, name}
			if _, twice := m.first[key]; !twice {
				m.first[key] = i
				m.order = append(m.order, madeName{host: key[0], name: name, step: i})
			}
		}
	}
	return m
}

// dockerMakes is a docker command that makes a container of a name, or gives one a new name. What is in quotes is passed
// over as a whole: it may be another command.
var dockerMakes = regexp.MustCompile(`\bdocker(?:[ \t]+-[^ \t\n;|&]+)*[ \t]+(?:container[ \t]+)?` +
	`(?:(?:run|create)\b(?:"[^"]*"|'[^']*'|[^"'\n;|&])*?[ \t]--name[ \t=]+|rename[ \t]+[^ \t\n;|&]+[ \t]+)` +
	`(?:"([^"]*)"|'([^']*)'|([^ \t\n;|&()"'` + "`" + `]+))`)

// dockerServes is a docker command that makes a service of a name.
var dockerServes = regexp.MustCompile(`\bdocker[ \t]+service[ \t]+create\b(?:"[^"]*"|'[^']*'|[^"'\n;|&])*?[ \t]--name[ \t=]+` +
	`([a-zA-Z0-9](?:[-_a-zA-Z0-9]*[a-zA-Z0-9])?)`)

// servicesMade returns the names of the services that a shell line makes.
func servicesMade(line string) []string {
	var names []string
	for _, g := range dockerServes.FindAllStringSubmatch(strings.ReplaceAll(line, "\\\n", " "), -1) {
		names = append(names, g[1])
	}
	return names
}

// containersMade returns the names of the containers that a shell line makes; empty for a name that only the shell knows.
func containersMade(line string) []string {
	if !strings.Contains(line, "docker") {
		return nil
	}
	var names []string
	for _, g := range dockerMakes.FindAllStringSubmatch(strings.ReplaceAll(line, "\\\n", " "), -1) {
		name := g[1] + g[2] + g[3]
		if strings.ContainsAny(name, "$`") {
			name = ""
		}
		names = append(names, name)
	}
	return names
}
