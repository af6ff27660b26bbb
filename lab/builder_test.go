package lab

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestBuilder(t *testing.T) {
	b := NewBuilder()
	b.Name("built")
	s1, s2 := b.Switch("s1"), b.Switch("s2")
	r := b.Router("r", "10.0.0.254/24", "10.9.0.1/30").Route("10.8.0.0/16", "10.9.0.2")
	a := b.Host("a", "10.0.0.1/24").Gateway("10.0.0.254").Docker()
	far := b.Host("far", "10.9.0.2/30").Gateway("10.9.0.1")
	b.Link(a, s1)
	b.Link(s1, s2, LinkMTU(1400))
	b.Link(r, s2)
	b.Link(r, far)
	b.Internet("www.example.com", "93.184.216.34")
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), spec, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, to := range []string{"far", "r", "www.example.com"} {
		if _, err := l.MustNode("a").Ping(soon(t), to); err != nil {
			t.Errorf("ping %s: %v", to, err)
		}
	}
	if l.Engine("a") == nil || l.Engine("far") != nil {
		t.Error("Engine: want one on a and none on far")
	}
}

func TestBuilderNamesTheLineOfEachMistake(t *testing.T) {
	_, _, here, _ := runtime.Caller(0)
	b := NewBuilder()
	sw := b.Switch("s1")
	a := b.Host("a", "10.0.0.1/24", "10.1.0.1/24") // here + 3
	b.Link(a, sw)
	b.Link(b.Host("b", "10.0.0.1/24"), sw) // here + 5: the address of a, which its link at + 4 took
	b.Link(a, NewBuilder().Switch("s2"))   // here + 6
	_, err := b.Spec()
	for _, want := range []string{
		fmt.Sprintf("builder_test.go:%d: a has 2 addresses and 1 cables", here+3),
		fmt.Sprintf("builder_test.go:%d: address 10.0.0.1 of \"b\" is also that of \"a\", on the same segment, at builder_test.go:%d", here+5, here+4),
		fmt.Sprintf("builder_test.go:%d: link: both ends", here+6),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Spec: error %v; want %q in it", err, want)
		}
	}
}
