package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// iperf runs iperf3 between two kernel namespaces and returns what the receiver got, in Gbit/s.
func (k *kernel) iperf(from, to, addr string, d time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(k.ctx, d+15*time.Second)
	defer cancel()
	server := exec.CommandContext(ctx, "ip", "netns", "exec", k.name(to), "iperf3", "-s", "-1", "--forceflush")
	out, err := server.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer func() {
		server.Process.Kill() //nolint:errcheck // it may have ended
		server.Wait()         //nolint:errcheck // killed
	}()
	// The server says that it listens; then the client may come.
	if _, err := out.Read(make([]byte, 256)); err != nil {
		return 0, fmt.Errorf("iperf3 server: %w", err)
	}
	seconds := strconv.FormatFloat(max(d.Seconds(), 1), 'f', 0, 64) // it knows whole seconds only
	report, err := exec.CommandContext(ctx, "ip", "netns", "exec", k.name(from), "iperf3", "-c", addr, "-t", seconds, "-J").Output()
	if err != nil && len(report) == 0 {
		return 0, fmt.Errorf("iperf3 client: %w", err)
	}
	return received(report)
}

// received reads the receiver's rate out of iperf3's report.
func received(report []byte) (float64, error) {
	var r struct {
		Error string
		End   struct {
			SumReceived struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return 0, fmt.Errorf("iperf3 report: %w", err)
	}
	if r.Error != "" {
		return 0, errors.New("iperf3: " + r.Error)
	}
	if r.End.SumReceived.BitsPerSecond <= 0 {
		return 0, errors.New("iperf3 report: no received rate")
	}
	return r.End.SumReceived.BitsPerSecond / 1e9, nil
}
