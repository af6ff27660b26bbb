package manager

import (
	"context"

	"github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/state"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Watch hands out the changes of objects that a request asks for, as this manager's copy of the store has them, until ctx
// ends (nil) or each returns an error. It has no past.
func (m *Manager) Watch(ctx context.Context, r *api.WatchRequest, each func(*api.WatchMessage) error) error {
	which, err := api.ConvertWatchArgs(r.Entries)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	changes, cancel := state.Watch(m.state.Store().WatchQueue(), which...)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case change := <-changes:
			e, ok := change.(api.Event)
			if !ok {
				continue
			}
			v := api.WatchMessageEvent(e)
			if v == nil {
				continue
			}
			if !r.IncludeOldObject {
				v.OldObject = nil
			}
			if err := each(&api.WatchMessage{Events: []*api.WatchMessage_Event{v}}); err != nil {
				return err
			}
		}
	}
}
