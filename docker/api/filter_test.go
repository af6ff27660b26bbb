package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

// TestListFilters asks for containers as docker ps --filter does.
func TestListFilters(t *testing.T) {
	r := newRig(t)
	r.do("POST", "/networks/create", `{"Name":"net1"}`)
	r.run("web1", `{"Image":"nginx","Labels":{"tier":"front","zone":"a"},"ExposedPorts":{"80/tcp":{}},"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8080"}]}}}`)
	r.run("web2", `{"Image":"nginx","Labels":{"tier":"front"},"HostConfig":{"NetworkMode":"net1"}}`)
	r.run("gone", `{"Image":"busybox","Cmd":["sh","-c","exit 3"]}`)
	if status, body := r.do("POST", "/containers/gone/wait", ""); status != 200 {
		t.Fatalf("wait: %d %s", status, body)
	}
	r.create("fresh", `{"Image":"busybox"}`)
	for _, row := range []struct{ query, want string }{
		{``, "web2 web1"},
		{`all=1`, "fresh gone web2 web1"},
		{`limit=1`, "fresh"},
		{`all=1&limit=2`, "fresh gone"},
		{`{"name":["web"]}`, "web2 web1"},
		{`{"name":["/web1"]}`, "web1"},
		{`{"name":["^web1$"]}`, "web1"},
		{`{"label":["tier=front"]}`, "web2 web1"},
		{`{"label":["tier=front","zone"]}`, "web1"},
		{`{"label":["tier=back"]}`, ""},
		{`{"status":["exited"]}`, "gone"},
		{`{"status":["created","exited"]}`, "fresh gone"},
		{`{"exited":["3"]}&all=1`, "gone"},
		{`{"exited":["0"]}&all=1`, ""},
		{`{"ancestor":["nginx"]}`, "web2 web1"},
		{`{"ancestor":["nginx:latest"]}`, "web2 web1"},
		{`{"ancestor":["nosuch"]}`, ""},
		{`{"network":["net1"]}`, "web2"},
		{`{"publish":["8080"]}`, "web1"},
		{`{"publish":["8000-8100/tcp"]}`, "web1"},
		{`{"publish":["8080/udp"]}`, ""},
		{`{"expose":["80"]}`, "web2 web1"},
		{`{"before":["web2"]}`, "web1"},
		{`{"since":["web1"]}&all=1`, "fresh gone web2"},
		{`{"health":["none"]}`, "web2 web1"},
		{`{"health":["healthy"]}`, ""},
		{`{"is-task":["true"]}`, ""},
		{`{"is-task":["false"]}`, "web2 web1"},
		{`{"volume":["v"]}`, ""},
		{`{"label":{"tier=front":true}}`, "web2 web1"}, // the new form
	} {
		query := row.query
		if strings.HasPrefix(query, "{") {
			text, more, _ := strings.Cut(query, "&")
			query = "filters=" + url.QueryEscape(text) + "&" + more
		}
		var list []container.Summary
		r.get("/containers/json?"+query, &list)
		names := []string{}
		for _, c := range list {
			names = append(names, strings.TrimPrefix(c.Names[0], "/"))
		}
		if got := strings.Join(names, " "); got != row.want {
			t.Errorf("%s: %q; want %q", row.query, got, row.want)
		}
	}
	for _, row := range []struct {
		filters, want string
		status        int
	}{
		{`{"colour":["red"]}`, "invalid filter 'colour'", 400},
		{`{"status":["asleep"]}`, "invalid filter 'status=asleep': ", 400},
		{`{"exited":["x"]}`, "invalid filter 'exited=x': ", 400},
		{`{"health":["fine"]}`, "invalid filter 'health=fine': ", 400},
		{`{"before":["nosuch"]}`, "No such container: nosuch", 404},
		{`{"publish":["80:80"]}`, "filter for 'publish' should not contain ':': 80:80", 400},
		{`{"publish":["80-99999"]}`, "error while looking up for publish 80-99999: ", 400},
		{`{"publish":["99999"]}`, "error while looking up for publish 99999: ", 400},
		{`{"is-task":["maybe"]}`, "invalid filter 'is-task=[maybe]'", 400},
		{`nothing`, "invalid filter: ", 400},
	} {
		status, body := r.do("GET", "/containers/json?filters="+url.QueryEscape(row.filters), "")
		if status != row.status || !strings.Contains(body, row.want) {
			t.Errorf("%s: %d %s; want %d %s", row.filters, status, body, row.status, row.want)
		}
	}
}

func TestImageFilters(t *testing.T) {
	r := newRig(t)
	for _, ref := range []string{"fromImage=docker.io%2Flibrary%2Fnginx&tag=latest", "fromImage=redis&tag=3", "fromImage=chrch%2Fweb&tag=latest"} {
		if status, body := r.do("POST", "/images/create?"+ref, ""); status != 200 {
			t.Fatalf("pull %s: %d %s", ref, status, body)
		}
	}
	for _, row := range []struct{ filters, want string }{
		{`{}`, "chrch/web:latest nginx:latest redis:3"},
		{`{"reference":["nginx"]}`, "nginx:latest"},
		{`{"reference":["redis:*"]}`, "redis:3"},
		{`{"reference":["redis:4"]}`, ""},
		{`{"reference":["*"]}`, "nginx:latest redis:3"},
		{`{"reference":["chrch/*"]}`, "chrch/web:latest"},
		{`{"dangling":["true"]}`, ""},
		{`{"label":["a"]}`, ""},
	} {
		var list []struct{ RepoTags []string }
		r.get("/images/json?filters="+url.QueryEscape(row.filters), &list)
		names := []string{}
		for _, im := range list {
			names = append(names, im.RepoTags...)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != row.want {
			t.Errorf("%s: %q; want %q", row.filters, got, row.want)
		}
	}
	if status, _ := r.do("GET", "/images/chrch/web/json", ""); status != http.StatusOK {
		t.Errorf("an image whose name has a slash: %d", status)
	}
	if status, body := r.do("GET", "/distribution/chrch/admin:latest/json", ""); status != http.StatusOK || !strings.Contains(body, `"digest":"sha256:`) {
		t.Errorf("distribution: %d %s", status, body)
	}
}

// TestRefused sends what would reach the machine.
func TestRefused(t *testing.T) {
	r := newRig(t)
	r.create("base", `{"Image":"busybox"}`)
	for _, host := range []string{
		`"Binds":["/etc:/host"]`, `"Binds":["/etc:/host:ro"]`, `"Mounts":[{"Type":"bind","Source":"/","Target":"/host"}]`,
		`"Devices":[{"PathOnHost":"/dev/kvm"}]`, `"DeviceRequests":[{"Driver":"nvidia","Count":-1}]`, `"PidMode":"host"`,
		`"UsernsMode":"host"`, `"IpcMode":"host"`, `"Mounts":[{"Type":"npipe","Source":"x","Target":"/x"}]`,
	} {
		status, body := r.do("POST", "/containers/create", fmt.Sprintf(`{"Image":"busybox","HostConfig":{%s}}`, host))
		if status != http.StatusForbidden && status != http.StatusBadRequest && status != http.StatusNotImplemented || !strings.Contains(body, `"message":"`) {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
}
