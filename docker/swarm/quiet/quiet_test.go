package quiet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/moby/swarmkit/v2/log"
)

func TestContext(t *testing.T) {
	var out bytes.Buffer
	for _, test := range []struct {
		name  string
		level slog.Level
		want  string
	}{
		{"all of it", slog.LevelDebug, "level=INFO msg=\"session failed\" error=lost\nlevel=DEBUG msg=started task.id=t1\n"},
		{"what matters", slog.LevelInfo, "level=INFO msg=\"session failed\" error=lost\n"},
	} {
		out.Reset()
		l := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: test.level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		ctx := Context(context.Background(), l)
		log.G(ctx).WithError(errors.New("lost")).Error("session failed")
		log.G(log.WithField(ctx, "task.id", "t1")).Info("started")
		if got := out.String(); got != test.want {
			t.Errorf("%s: logged\n%swant\n%s", test.name, got, test.want)
		}
	}
}

func TestSilent(t *testing.T) {
	ctx := Context(context.Background(), nil)
	if l := log.G(ctx).Logger; l.IsLevelEnabled(2) {
		t.Errorf("level = %v; want nothing logged", l.GetLevel())
	}
}

// What has no context to log to writes nothing, either.
func TestDefaultIsSilent(t *testing.T) {
	if got := log.G(context.Background()).Logger.Out; got != io.Discard {
		t.Errorf("swarmkit's default logger writes to %v", got)
	}
}
