//go:build unix

package node

import (
	"runtime"
	"testing"
	"time"
)

// 50 nodes take up 1,000 tasks, and let them go.
func BenchmarkThousandTasks(b *testing.B) {
	l := swarm(b, 50, 3, docker)
	m := l.hosts[0]
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		web := m.service("web", 1000)
		l.eventually("1,000 tasks run", func() bool { return total(m.running(web)) == 1000 })
		b.ReportMetric(time.Since(began).Seconds(), "s/running")
		m.remove(web)
		l.eventually("no tasks are left", func() bool { return len(m.tasks(web)) == 0 })
	}
}

// 100 nodes join one after the other; then nothing happens but heartbeats.
func BenchmarkHundredNodes(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		l := swarm(b, 100, 3, docker)
		b.ReportMetric(time.Since(began).Seconds(), "s/up")
		runtime.GC()
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.HeapInuse+mem.StackInuse)/(1<<20), "MB")
		b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		used := processorTime(b)
		idle := time.Now()
		<-l.within(20 * time.Second).Done() // what is measured is time in which nothing happens
		b.ReportMetric(100*(processorTime(b)-used).Seconds()/time.Since(idle).Seconds(), "%core/idle")
	}
}
