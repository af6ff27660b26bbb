package dockercli

import (
	"context"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/versions"
)

// An engine whose API is older than waitAPI waits for no container that is yet to run, so docker looks for its end in the engine's
// events, by a loop that runs hot once docker run -d has returned: its context has ended, and the loop goes on all the same until its
// events end, if anybody gets a turn to end them. A process would be gone by then; here it is a goroutine among others. So docker is
// told of an engine that waits, for that one question, and the waiting is done here. Engines older than removeAPI remove nothing by
// themselves; docker does that in the same loop, and keeps it.
const (
	waitAPI   = "1.30"
	removeAPI = "1.25"
)

// ClientVersion implements client.APIClient.
func (a *apiClient) ClientVersion() string {
	v := a.APIClient.ClientVersion()
	if a.runs.Load() && waitsHere(v) {
		return waitAPI
	}
	return v
}

func waitsHere(version string) bool {
	return versions.LessThan(version, waitAPI) && versions.GreaterThanOrEqualTo(version, removeAPI)
}

// ContainerWait implements client.ContainerAPIClient.
func (a *apiClient) ContainerWait(ctx context.Context, id string, until container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	a.runs.Store(false)
	v := a.APIClient.ClientVersion()
	if !waitsHere(v) || until != container.WaitConditionNextExit && until != container.WaitConditionRemoved {
		return a.APIClient.ContainerWait(ctx, id, until)
	}
	ctx, cancel := context.WithCancel(ctx)
	told, failed := a.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "container"), filters.Arg("container", id))})
	ended, wrong := make(chan container.WaitResponse, 1), make(chan error, 1)
	go func() {
		defer cancel()
		code := int64(statusDaemon)
		for {
			select {
			case <-ctx.Done():
				wrong <- ctx.Err()
				return
			case err := <-failed:
				wrong <- err
				return
			case e := <-told:
				var over bool
				if code, over = afterEvent(e, until, code); over {
					ended <- container.WaitResponse{StatusCode: code}
					return
				}
			}
		}
	}()
	return ended, wrong
}

// afterEvent returns the status of a container after one of its events, and whether that is what is waited for.
func afterEvent(e events.Message, until container.WaitCondition, before int64) (code int64, over bool) {
	switch e.Action { //nolint:exhaustive // all others are of no account
	case events.ActionDie:
		if n, err := strconv.Atoi(e.Actor.Attributes["exitCode"]); err == nil {
			before = int64(n)
		}
		return before, until == container.WaitConditionNextExit
	case events.ActionDetach:
		return 0, true
	case events.ActionDestroy:
		return before, true
	}
	return before, false
}
