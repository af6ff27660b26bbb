package topology

import (
	"fmt"
	"strings"
	"testing"
)

// The containers that a step's command makes, as far as one can read.
func TestContainersMade(t *testing.T) {
	for _, row := range []struct{ show, line, want string }{
		{"run", "docker run -d --name c1 --net links busybox sleep 1000", "c1"},
		{"several", "docker run --name a nginx && docker run -d --name=b nginx; docker create --name 'c' nginx\ndocker container run --name \"d\" nginx", "a b c d"},
		{"on several lines", "docker run -d \\\n  -e 'X=1; 2' \\\n  --name web nginx", "web"},
		{"options of docker itself", "docker -D --tls run --name web nginx", "web"},
		{"a new name", "docker rename box crate", "crate"},
		{"names that the shell knows", "for c in x y; do docker run --name $c nginx; docker run --name \"c-$c\" nginx; done", "? ?"},
		{"no name", "docker run -d nginx; echo --name c1", ""},
		{"what is no container", "docker network create --name n n1; docker service create --name s nginx; docker ps --filter name=x", ""},
		{"an argument of the program", "docker run nginx 'x --name y'", ""},
	} {
		got := containersMade(row.line)
		for i := range got {
			if got[i] == "" {
				got[i] = "?"
			}
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%s: containersMade(%q) = %q; want %s", row.show, row.line, got, row.want)
		}
	}
}

// The services that a step's command makes.
func TestServicesMade(t *testing.T) {
	for _, row := range []struct{ show, line, want string }{
		{"create", "docker service create --network n -e 'A=b; c' --name web --replicas 2 nginx", "web"},
		{"several", "docker service create --name=a nginx; docker service create --name b-1 nginx", "a b-1"},
		{"on several lines", "docker service create --name myservice \\\n  --network overnet ubuntu", "myservice"},
		{"none", "docker service ls --name x; docker service create nginx; docker run --name web nginx", ""},
	} {
		if got := servicesMade(row.line); strings.Join(got, " ") != row.want {
			t.Errorf("%s: servicesMade(%q) = %q; want %s", row.show, row.line, got, row.want)
		}
	}
}

// Steps run in containers that earlier steps make, on the host where they make them.
func TestStepsInContainersOfEarlierSteps(t *testing.T) {
	const text = `
netsim: 1
fabric:
  switches: {tor: {}}
  hosts:
    a: {links: {tor: 10.0.0.1/24}, engine: docker}
    b: {links: {tor: 10.0.0.2/24}, engine: docker}
steps:
  - {on: a, run: docker run -d --name web nginx}
  - {on: b, run: 'for c in x y; do docker run -d --name $c nginx; done; docker service create --name db nginx'}
  - {on: %s, run: ls}
`
	for on, want := range map[string]string{
		"a/web": "", "b/x": "", "b/anything": "",
		"b/db.2": "",
		"b/":     `host "b" has no container`, "a/x": `host "a" has no container or task "x"`, "a/wbe": `did you mean "web"?`, "tor/web": `host "tor" is not defined`,
	} {
		s, err := Parse("t.yaml", []byte(fmt.Sprintf(text, on)))
		switch {
		case want != "":
			if err == nil || !strings.HasPrefix(err.Error(), "t.yaml:11:10: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("on: %s: %v; want %s", on, err, want)
			}
		case err != nil:
			t.Errorf("on: %s: %v", on, err)
		case s.Steps[2].On.Host+"/"+s.Steps[2].On.Container != on && s.Steps[2].On.Service != "db":
			t.Errorf("on: %s is %+v", on, s.Steps[2].On)
		}
	}
}
