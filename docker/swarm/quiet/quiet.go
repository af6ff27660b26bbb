// Package quiet takes what swarmkit's packages log, which they do with logrus to the logger of their context, to a
// slog.Logger. Without it they write to the standard error of whatever program uses them.
package quiet

import (
	"context"
	"io"
	"log/slog"

	"github.com/moby/swarmkit/v2/log"
	"github.com/sirupsen/logrus"
)

// A few of swarmkit's parts have no context to log to, and take this one. Nobody else does.
func init() {
	own := logrus.New()
	own.SetOutput(io.Discard)
	log.L = logrus.NewEntry(own)
}

// Context returns a context in which swarmkit's packages log to l. nil: what they log is dropped.
func Context(ctx context.Context, l *slog.Logger) context.Context {
	own := logrus.New()
	own.SetOutput(io.Discard)
	own.SetLevel(logrus.PanicLevel)
	if l != nil {
		own.AddHook(hook{l})
		own.SetLevel(logrus.DebugLevel)
		if !l.Enabled(ctx, slog.LevelDebug) {
			own.SetLevel(logrus.InfoLevel)
		}
	}
	return log.WithLogger(ctx, logrus.NewEntry(own))
}

// hook hands entries on.
type hook struct{ to *slog.Logger }

// Levels implements logrus.Hook.
func (hook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (h hook) Fire(e *logrus.Entry) error {
	ctx := e.Context
	if ctx == nil {
		ctx = context.Background()
	}
	attrs := make([]slog.Attr, 0, len(e.Data))
	for k, v := range e.Data {
		attrs = append(attrs, slog.Any(k, v))
	}
	h.to.LogAttrs(ctx, level(e.Level), e.Message, attrs...)
	return nil
}

// level takes one of logrus's down to what a user of a lab cares for: what swarmkit calls an error is mostly a node that
// cannot be reached for the moment, which the lab has done on purpose.
func level(l logrus.Level) slog.Level {
	switch l {
	case logrus.PanicLevel, logrus.FatalLevel:
		return slog.LevelError
	case logrus.ErrorLevel, logrus.WarnLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}
