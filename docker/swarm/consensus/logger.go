package consensus

import (
	"fmt"
	"log/slog"
)

// raftLog writes what the library says about itself, as details: what a user cares about is logged by Node.
type raftLog struct{ log *slog.Logger }

// Debug implements raft.Logger, as do all that follow.
func (l raftLog) Debug(v ...any) { l.log.Debug(fmt.Sprint(v...)) }

// Debugf formats.
func (l raftLog) Debugf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Info is a detail here.
func (l raftLog) Info(v ...any) { l.log.Debug(fmt.Sprint(v...)) }

// Infof formats.
func (l raftLog) Infof(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Warning is a detail here.
func (l raftLog) Warning(v ...any) { l.log.Debug(fmt.Sprint(v...)) }

// Warningf formats.
func (l raftLog) Warningf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Error is an error.
func (l raftLog) Error(v ...any) { l.log.Error(fmt.Sprint(v...)) }

// Errorf formats.
func (l raftLog) Errorf(format string, v ...any) { l.log.Error(fmt.Sprintf(format, v...)) }

// Fatal ends the member, not the process.
func (l raftLog) Fatal(v ...any) { panic(fmt.Sprint(v...)) }

// Fatalf formats.
func (l raftLog) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

// Panic ends the member: Run returns it as an error.
func (l raftLog) Panic(v ...any) { panic(fmt.Sprint(v...)) }

// Panicf formats.
func (l raftLog) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
