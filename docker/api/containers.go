package api

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/netsim-lab/netsim/docker/engine"
)

// container finds the container that the path names.
func (c *call) container() (*engine.Container, error) { return c.s.engine.Container(c.name) }

// containerStart answers docker start, and the last request of docker run. Docker attaches networks and ports here, so
// their errors come here too.
func (c *call) containerStart() error {
	if c.r.ContentLength > 7 || c.r.ContentLength == -1 {
		return invalid("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if err := ctr.Start(c.ctx()); err != nil {
		return err
	}
	return c.status(http.StatusNoContent)
}

// stopOptions reads how a container is to be stopped.
func (c *call) stopOptions() (engine.StopOptions, error) {
	var opts engine.StopOptions
	if c.version >= version142 {
		opts.Signal = c.query.Get("signal")
	}
	if text := c.query.Get("t"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds > math.MaxInt32 || seconds < -1 {
			return opts, invalid("invalid timeout %q: give whole seconds, or -1 for no end", text)
		}
		d := time.Duration(seconds) * time.Second
		opts.Timeout = &d
	}
	return opts, nil
}

// containerStop answers docker stop.
func (c *call) containerStop() error { return c.stopping((*engine.Container).Stop) }

// containerRestart answers docker restart.
func (c *call) containerRestart() error { return c.stopping((*engine.Container).Restart) }

// stopping does what takes the options of a stop.
func (c *call) stopping(do func(*engine.Container, context.Context, engine.StopOptions) error) error {
	opts, err := c.stopOptions()
	if err != nil {
		return err
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if err := do(ctr, c.ctx(), opts); err != nil {
		return err
	}
	return c.status(http.StatusNoContent)
}

// wrapped is an error with words in front; its kind stays.
type wrapped struct {
	text string
	err  error
}

// Error implements error.
func (w *wrapped) Error() string { return w.text + w.err.Error() }

// Unwrap returns the error behind the words.
func (w *wrapped) Unwrap() error { return w.err }

// containerKill answers docker kill.
func (c *call) containerKill() error {
	ctr, err := c.container()
	if err != nil {
		return &wrapped{"cannot kill container: " + c.name + ": ", err}
	}
	if err := ctr.Kill(c.ctx(), c.query.Get("signal")); err != nil {
		return err
	}
	return c.status(http.StatusNoContent)
}

// simple answers a request that does one thing to a container.
func simple(do func(*call, *engine.Container) error) handler {
	return func(c *call) error {
		ctr, err := c.container()
		if err != nil {
			return err
		}
		if err := do(c, ctr); err != nil {
			return err
		}
		return c.status(http.StatusNoContent)
	}
}

func pauseContainer(_ *call, ctr *engine.Container) error   { return ctr.Pause() }
func unpauseContainer(_ *call, ctr *engine.Container) error { return ctr.Unpause() }

func renameContainer(c *call, ctr *engine.Container) error {
	name := strings.TrimPrefix(c.query.Get("name"), "/")
	if name == "" {
		return invalid("Neither old nor new names may be empty")
	}
	return ctr.Rename(name)
}

func removeContainer(c *call, ctr *engine.Container) error {
	if c.bool("link") {
		return &apiError{http.StatusNotImplemented, "links of containers are not removed one by one: disconnect or remove the container"}
	}
	return ctr.Remove(c.ctx(), engine.RemoveOptions{Force: c.bool("force"), Volumes: c.bool("v")})
}

// containerWait answers docker wait, and docker run, which waits for the head of the answer before it starts the
// container: it goes out at once.
func (c *call) containerWait() error {
	condition := engine.WaitNotRunning
	if c.version >= version130 {
		var err error
		if condition, err = engine.ParseWaitCondition(c.query.Get("condition")); err != nil {
			return err
		}
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	exit := ctr.Await(c.ctx(), condition)
	if c.version >= version130 {
		c.begin("application/json")
	}
	end, ok := <-exit
	if !ok {
		return nil // the client has left, or the lab ends
	}
	resp := container.WaitResponse{StatusCode: int64(end.Code)}
	if !c.started {
		return c.json(http.StatusOK, resp)
	}
	_ = json.NewEncoder(c.w).Encode(resp) // the client may have left
	return nil
}

// containerResize answers the change of a terminal's size.
func (c *call) containerResize() error {
	size, err := c.size()
	if err != nil {
		return err
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if err := ctr.Resize(size); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// size reads the size of a terminal.
func (c *call) size() (engine.Size, error) {
	var hw [2]uint
	for i, key := range []string{"h", "w"} {
		text := c.query.Get(key)
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return engine.Size{}, invalid("invalid resize %s %q: %v", []string{"height", "width"}[i], text, err)
		}
		hw[i] = uint(n)
	}
	return consoleSize(&hw), nil
}

// containerTop answers docker top.
func (c *call) containerTop() error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	args := strings.Fields(c.query.Get("ps_args"))
	titles, rows, err := ctr.Top(args)
	if err != nil {
		return err
	}
	if rows == nil {
		rows = [][]string{}
	}
	return c.json(http.StatusOK, container.TopResponse{Titles: titles, Processes: rows})
}

// containerUpdate answers docker update.
func (c *call) containerUpdate() error {
	var req container.UpdateConfig
	if err := c.decode(&req); err != nil {
		return err
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	res := resources(&req.Resources)
	up := engine.UpdateConfig{Resources: &res}
	if req.RestartPolicy.Name != "" {
		up.RestartPolicy = &engine.RestartPolicy{
			Name: string(req.RestartPolicy.Name), MaximumRetryCount: req.RestartPolicy.MaximumRetryCount,
		}
	}
	if err := ctr.Update(up); err != nil {
		return err
	}
	return c.json(http.StatusOK, container.UpdateResponse{Warnings: []string{}})
}

// containerPrune answers docker container prune.
func (c *call) containerPrune() error {
	f, err := c.filters("label", "label!", "until")
	if err != nil {
		return err
	}
	until, err := untilFilter(f)
	if err != nil {
		return err
	}
	ids := c.s.engine.PruneContainers(func(ctr *engine.Container) bool {
		young := !until.IsZero() && ctr.Created().After(until)
		return young || !matchLabels(f, ctr.Config().Labels)
	})
	return c.json(http.StatusOK, container.PruneReport{ContainersDeleted: ids})
}

// containerChanges answers docker diff: programs of a lab change no files.
func (c *call) containerChanges() error {
	if _, err := c.container(); err != nil {
		return err
	}
	return c.json(http.StatusOK, []container.FilesystemChange(nil))
}
