package image

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestLookup(t *testing.T) {
	redis, err := Lookup("redis")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ ref, want string }{
		{"redis", "redis:latest"},
		{"redis:3", "redis:3"},
		{"library/redis", "redis:latest"},
		{"docker.io/redis", "redis:latest"},
		{"docker.io/library/redis:latest", "redis:latest"},
		{"index.docker.io/chrch/web", "chrch/web:latest"},
		{"redis:latest@" + redis.Digest, "redis:latest"},
		{"nicolaka/netshoot", "nicolaka/netshoot:latest"},
	} {
		im, err := Lookup(row.ref)
		if err != nil || im.Ref() != row.want || len(im.ID) != 64 {
			t.Errorf("Lookup(%q) = %v, %v; want %s", row.ref, im, err, row.want)
		}
	}
}

func TestLookupErrors(t *testing.T) {
	for _, row := range []struct{ ref, want string }{
		{"", "invalid reference format"},
		{"redis:", "invalid reference format"},
		{"redis@sha256:12", "invalid reference format"},
		{"a//b", "invalid reference format"},
		{"-x", "invalid reference format"},
		{"Redis", "invalid reference format: repository name (Redis) must be lowercase"},
		{"macvlan10", "pull access denied for macvlan10, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"},
		{"quay.io/redis", "pull access denied for quay.io/redis, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"},
		{"redis@sha256:" + hashHex(""), "manifest for redis@sha256:" + hashHex("") + " not found: manifest unknown: manifest unknown"},
	} {
		im, err := Lookup(row.ref)
		if err == nil || err.Error() != row.want {
			t.Errorf("Lookup(%q) = %v, %v; want %s", row.ref, im, err, row.want)
		}
	}
	var missing *NotFoundError
	if _, err := Lookup("nothing"); !errors.As(err, &missing) || missing.Name != "nothing" {
		t.Errorf("Lookup = %v; want a NotFoundError", err)
	}
	if _, err := Lookup("a b"); !errors.Is(err, ErrReference) {
		t.Errorf("Lookup = %v; want %v", err, ErrReference)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"redis", "docker.io/library/redis:3", "localhost:5000/a/b@sha256:" + hashHex("x"), "a:b:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			return
		}
		text := r.Name + ":" + r.Tag
		if r.Digest != "" {
			text += "@" + r.Digest
		}
		if again, err := ParseReference(text); err != nil || again != r {
			t.Errorf("ParseReference(%q) = %+v, %v; want %+v", text, again, err, r)
		}
	})
}

func TestAllImagesAreComplete(t *testing.T) {
	names := Names()
	if !slices.IsSorted(names) || len(names) != len(builtin) {
		t.Errorf("Names = %v; want all, sorted", names)
	}
	for _, im := range All() {
		if im.Size == 0 || im.Created.IsZero() || im.Tag != "latest" || len(im.Argv(nil, nil)) == 0 || im.Tools == ToolsNone {
			t.Errorf("%+v is incomplete", im)
		}
		if same, err := Lookup(im.Name); err != nil || same.ID != im.ID {
			t.Errorf("Lookup(%s) = %v, %v; want the same image", im.Name, same, err)
		}
		if im.Healthcheck != nil && im.Healthcheck.Interval != time.Minute {
			t.Errorf("%s: health check every %v; want 1m (A6)", im.Name, im.Healthcheck.Interval)
		}
	}
}

func TestSuggest(t *testing.T) {
	for _, row := range []struct{ ref, want string }{
		{"reddis", "redis"},
		{"Ngnix", "nginx"},
		{"church/web:1", "chrch/web"},
		{"docker-demo", "ehazlett/docker-demo"},
		{"postgres", ""},
		{"redis", ""},
	} {
		if got, ok := Suggest(row.ref); got != row.want || ok != (row.want != "") {
			t.Errorf("Suggest(%q) = %q, %t; want %q", row.ref, got, ok, row.want)
		}
	}
}

func TestArgv(t *testing.T) {
	im := &Image{Entrypoint: []string{"e"}, Cmd: []string{"c"}}
	for _, row := range []struct {
		name                   string
		entrypoint, args, want []string
	}{
		{"the image's own", nil, nil, []string{"e", "c"}},
		{"arguments replace Cmd", nil, []string{"x"}, []string{"e", "x"}},
		{"an entrypoint drops Cmd", []string{"n"}, nil, []string{"n"}},
		{"both", []string{"n"}, []string{"x"}, []string{"n", "x"}},
	} {
		if got := im.Argv(row.entrypoint, row.args); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: Argv = %v; want %v", row.name, got, row.want)
		}
	}
}

func TestA11RunFallsBackToTheShell(t *testing.T) {
	im, err := Lookup("busybox")
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	p := &Process{Args: []string{"ping", "localhost"}, Shell: func(_ context.Context, argv []string) int {
		ran = argv
		return 7
	}}
	if exit := im.Run(t.Context(), p); exit != 7 || !reflect.DeepEqual(ran, p.Args) {
		t.Errorf("Run = %d, ran %v; want the shell's status", exit, ran)
	}
	if exit := im.Run(t.Context(), &Process{Args: []string{"ping"}}); exit != exitNotFound {
		t.Errorf("Run without a shell = %d; want %d", exit, exitNotFound)
	}
	if exit := im.Run(t.Context(), &Process{}); exit != exitNotFound {
		t.Errorf("Run of nothing = %d; want %d", exit, exitNotFound)
	}
	if _, ok := im.Program("/bin/sleep"); !ok {
		t.Error("no program /bin/sleep")
	}
}

func TestA11Sleep(t *testing.T) {
	for _, row := range []struct {
		args []string
		exit int
		took time.Duration
	}{
		{[]string{"sleep", "1.5"}, 0, 1500 * time.Millisecond},
		{[]string{"sleep", "1m", "1h", "2s"}, 0, time.Hour + 62*time.Second},
		{[]string{"sleep", "infinity"}, exitTerminated, 48 * time.Hour},
		{[]string{"sleep", "1e400"}, exitTerminated, 48 * time.Hour},
		{[]string{"sleep", "1d", "5d"}, exitTerminated, 48 * time.Hour},
		{[]string{"sleep"}, 1, 0},
		{[]string{"sleep", "-1"}, 1, 0},
		{[]string{"sleep", "nan"}, 1, 0},
		{[]string{"sleep", "x"}, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
			defer cancel()
			start := time.Now()
			exit := sleep(ctx, &Process{Args: row.args})
			if took := time.Since(start); exit != row.exit || took != row.took {
				t.Errorf("%v = %d after %v; want %d after %v", row.args, exit, took, row.exit, row.took)
			}
		})
	}
	if got := clampSeconds(math.Inf(1)); got != math.MaxInt64 {
		t.Errorf("clampSeconds(inf) = %d", got)
	}
}

func TestGetenv(t *testing.T) {
	p := &Process{Env: []string{"A=1", "B", "A=2=3"}}
	if got := p.Getenv("A") + p.Getenv("B") + p.Getenv("C"); got != "2=3" {
		t.Errorf("Getenv = %q; want the last value", got)
	}
	if p.random().Uint64() != p.random().Uint64() {
		t.Error("the default luck differs between runs")
	}
}

func TestProgramsNeedNoArguments(t *testing.T) {
	for _, im := range All() {
		for name, prog := range im.Programs {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			l := newLab(t)
			prog(ctx, &Process{Net: host{l, name}})
		}
	}
}
