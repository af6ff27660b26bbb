package bench

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name string
		goal Goal
		res  Result
		want *bool
	}{
		{"ratio reached", atLeast(OfRatio, 2)[0], Result{Ratio: 2}, &yes},
		{"ratio missed", atLeast(OfRatio, 2)[0], Result{Ratio: 1.9}, &no},
		{"ratio not too large", atMost(OfRatio, 4)[0], Result{Ratio: 1.2}, &yes},
		{"ratio too large", atMost(OfRatio, 4)[0], Result{Ratio: 4.1}, &no},
		{"no peer", atMost(OfRatio, 4)[0], Result{Value: 3, Skipped: "why"}, nil},
		{"value reached", atLeast(OfValue, 10)[0], Result{Value: 29}, &yes},
		{"nothing is what is wanted", atMost(OfValue, 0)[0], Result{}, &yes},
		{"row skipped", atMost(OfValue, 0)[0], Result{Skipped: "why"}, nil},
		{"another figure", atMost("KB", 100)[0], Result{Extra: map[string]float64{"KB": 101}}, &no},
		{"a figure that is not there", atMost("KB", 100)[0], Result{}, nil},
	} {
		got := judge([]Goal{c.goal}, c.res)
		if len(got) != 1 || !reflect.DeepEqual(got[0].Met, c.want) {
			t.Errorf("%s: judge = %+v; want met %v", c.name, got, c.want)
		}
	}
}

var someResults = []Result{
	{Name: "tcp-bridge", Work: "TCP", Unit: "Gbit/s", Value: 48, PeerValue: 15, Ratio: 3.2, Goals: judge(atLeast(OfRatio, 3), Result{Ratio: 3.2})},
	{Name: "rtt-idle", Work: "UDP echo", Unit: "us", Value: 40, Skipped: "skipped: iperf3 is not installed", Goals: judge(atMost(OfRatio, 4), Result{})},
	{Name: "tcp-vxlan-udp", Work: "over UDP", Unit: "Gbit/s", Skipped: "skipped: no second process", Goals: judge(atLeast(OfRatio, 0.8), Result{})},
	{Name: "start", Work: "containers", Unit: "ms", Value: 0.02, PeerValue: 10, Ratio: 0.002, Extra: map[string]float64{"KB resident each": 1234},
		Goals: judge(append(atMost(OfRatio, 0.03), atMost("KB resident each", 100)...), Result{Ratio: 0.002, Extra: map[string]float64{"KB resident each": 1234}})},
	{Name: "growth", Work: "TCP across this many", Unit: "Gbit/s", Value: 40, Points: []Point{{1, 40}, {8, 20.5}}},
}

func ExampleTable() {
	if err := Table(os.Stdout, someResults); err != nil {
		panic(err)
	}
	// Output:
	// ROW            NETSIM        PEER          RATIO    GOAL                               MET      WORK
	// tcp-bridge     48.00 Gbit/s  15.00 Gbit/s  3.20x    >= 3x                              yes      TCP
	// rtt-idle       40.00 us      skipped       -        <= 4x                              -        UDP echo
	// tcp-vxlan-udp  skipped       skipped       -        >= 0.8x                            -        over UDP
	// start          0.0200 ms     10.00 ms      0.0020x  <= 0.03x, <= 100 KB resident each  yes, NO  containers
	//   rtt-idle: skipped: iperf3 is not installed
	//   tcp-vxlan-udp: skipped: no second process
	//   start: KB resident each: 1234
	// growth: TCP across this many, Gbit/s
	//        1  40.00
	//        8  20.50
}

func TestTableWithoutPeer(t *testing.T) {
	var b strings.Builder
	if err := Table(&b, []Result{{Name: "allocs", Value: 0}}); err != nil || !strings.Contains(b.String(), "allocs  0.00    -     -      -     -") {
		t.Errorf("Table = %q, %v; want dashes for what there is not", b.String(), err)
	}
}
