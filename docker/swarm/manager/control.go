package manager

import (
	"context"
	"fmt"

	"github.com/moby/swarmkit/v2/api"
)

// Call has a method of the swarm's API carried out by whoever leads, and returns the encoded answer.
type Call func(ctx context.Context, method string, request []byte) ([]byte, error)

// Control is swarmkit's ControlServer by way of a Call: what a manager that does not lead has in place of the real one.
type Control Call

var _ api.ControlServer = Control(nil)

// message is what protocol buffers of gogo make of a type.
type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// invoke carries out one method elsewhere.
func invoke[A any, P interface {
	*A
	message
}](ctx context.Context, c Call, method string, request message) (P, error) {
	b, err := request.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	if b, err = c(ctx, method, b); err != nil {
		return nil, err
	}
	answer := P(new(A))
	if err := answer.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return answer, nil
}

// serve makes a method that takes and gives bytes of one that takes and gives messages.
func serve[S, Q, A any, PQ interface {
	*Q
	message
}, PA interface {
	*A
	message
}](f func(S, context.Context, PQ) (PA, error)) func(context.Context, S, []byte) ([]byte, error) {
	return func(ctx context.Context, s S, b []byte) ([]byte, error) {
		request := PQ(new(Q))
		if err := request.Unmarshal(b); err != nil {
			return nil, malformed(err)
		}
		answer, err := f(s, ctx, request)
		if err != nil {
			return nil, err
		}
		return answer.Marshal()
	}
}

// controlMethods is what a Control asks for.
var controlMethods = map[string]func(context.Context, api.ControlServer, []byte) ([]byte, error){
	"GetNode":             serve(api.ControlServer.GetNode),
	"ListNodes":           serve(api.ControlServer.ListNodes),
	"UpdateNode":          serve(api.ControlServer.UpdateNode),
	"RemoveNode":          serve(api.ControlServer.RemoveNode),
	"GetTask":             serve(api.ControlServer.GetTask),
	"ListTasks":           serve(api.ControlServer.ListTasks),
	"RemoveTask":          serve(api.ControlServer.RemoveTask),
	"GetService":          serve(api.ControlServer.GetService),
	"ListServices":        serve(api.ControlServer.ListServices),
	"CreateService":       serve(api.ControlServer.CreateService),
	"UpdateService":       serve(api.ControlServer.UpdateService),
	"RemoveService":       serve(api.ControlServer.RemoveService),
	"ListServiceStatuses": serve(api.ControlServer.ListServiceStatuses),
	"GetNetwork":          serve(api.ControlServer.GetNetwork),
	"ListNetworks":        serve(api.ControlServer.ListNetworks),
	"CreateNetwork":       serve(api.ControlServer.CreateNetwork),
	"RemoveNetwork":       serve(api.ControlServer.RemoveNetwork),
	"GetCluster":          serve(api.ControlServer.GetCluster),
	"ListClusters":        serve(api.ControlServer.ListClusters),
	"UpdateCluster":       serve(api.ControlServer.UpdateCluster),
	"GetSecret":           serve(api.ControlServer.GetSecret),
	"UpdateSecret":        serve(api.ControlServer.UpdateSecret),
	"ListSecrets":         serve(api.ControlServer.ListSecrets),
	"CreateSecret":        serve(api.ControlServer.CreateSecret),
	"RemoveSecret":        serve(api.ControlServer.RemoveSecret),
	"GetConfig":           serve(api.ControlServer.GetConfig),
	"UpdateConfig":        serve(api.ControlServer.UpdateConfig),
	"ListConfigs":         serve(api.ControlServer.ListConfigs),
	"CreateConfig":        serve(api.ControlServer.CreateConfig),
	"RemoveConfig":        serve(api.ControlServer.RemoveConfig),
	"GetExtension":        serve(api.ControlServer.GetExtension),
	"CreateExtension":     serve(api.ControlServer.CreateExtension),
	"RemoveExtension":     serve(api.ControlServer.RemoveExtension),
	"GetResource":         serve(api.ControlServer.GetResource),
	"UpdateResource":      serve(api.ControlServer.UpdateResource),
	"ListResources":       serve(api.ControlServer.ListResources),
	"CreateResource":      serve(api.ControlServer.CreateResource),
	"RemoveResource":      serve(api.ControlServer.RemoveResource),
	"CreateVolume":        serve(api.ControlServer.CreateVolume),
	"GetVolume":           serve(api.ControlServer.GetVolume),
	"UpdateVolume":        serve(api.ControlServer.UpdateVolume),
	"ListVolumes":         serve(api.ControlServer.ListVolumes),
	"RemoveVolume":        serve(api.ControlServer.RemoveVolume),
}
