package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/netsim-lab/netsim/lab"
)

// beforeStep is how much of the time before a failed step is saved with it.
const beforeStep = time.Second

// saver saves the last packets when a step fails.
type saver struct {
	reporter
	lab *lab.Lab
	dir string // empty: it does not
	log *slog.Logger
}

// StepDone implements lab.Observer.
func (s saver) StepDone(r lab.StepResult) {
	s.reporter.StepDone(r)
	if r.Passed || s.dir == "" {
		return
	}
	file := filepath.Join(s.dir, fmt.Sprintf("%s-step-%d.pcapng", s.lab.Name(), r.Index+1))
	stats, err := s.save(file, r.Elapsed+beforeStep)
	if err != nil {
		s.log.Error("packets of the failed step not saved", "step", r.Index+1, "error", err)
		return
	}
	s.log.Warn("packets of the failed step saved", "step", r.Index+1, "file", file, "packets", stats.Written)
}

func (s saver) save(file string, last time.Duration) (lab.CaptureStats, error) {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return lab.CaptureStats{}, err
	}
	f, err := os.Create(file)
	if err != nil {
		return lab.CaptureStats{}, err
	}
	stats, err := s.lab.SaveLast(f, last)
	return stats, errors.Join(err, f.Close())
}
