package manager

import (
	"context"

	"github.com/moby/swarmkit/v2/api"
)

// GetNode implements api.ControlServer.
func (c Control) GetNode(ctx context.Context, r *api.GetNodeRequest) (*api.GetNodeResponse, error) {
	return invoke[api.GetNodeResponse](ctx, Call(c), "GetNode", r)
}

// ListNodes implements api.ControlServer.
func (c Control) ListNodes(ctx context.Context, r *api.ListNodesRequest) (*api.ListNodesResponse, error) {
	return invoke[api.ListNodesResponse](ctx, Call(c), "ListNodes", r)
}

// UpdateNode implements api.ControlServer.
func (c Control) UpdateNode(ctx context.Context, r *api.UpdateNodeRequest) (*api.UpdateNodeResponse, error) {
	return invoke[api.UpdateNodeResponse](ctx, Call(c), "UpdateNode", r)
}

// RemoveNode implements api.ControlServer.
func (c Control) RemoveNode(ctx context.Context, r *api.RemoveNodeRequest) (*api.RemoveNodeResponse, error) {
	return invoke[api.RemoveNodeResponse](ctx, Call(c), "RemoveNode", r)
}

// GetTask implements api.ControlServer.
func (c Control) GetTask(ctx context.Context, r *api.GetTaskRequest) (*api.GetTaskResponse, error) {
	return invoke[api.GetTaskResponse](ctx, Call(c), "GetTask", r)
}

// ListTasks implements api.ControlServer.
func (c Control) ListTasks(ctx context.Context, r *api.ListTasksRequest) (*api.ListTasksResponse, error) {
	return invoke[api.ListTasksResponse](ctx, Call(c), "ListTasks", r)
}

// RemoveTask implements api.ControlServer.
func (c Control) RemoveTask(ctx context.Context, r *api.RemoveTaskRequest) (*api.RemoveTaskResponse, error) {
	return invoke[api.RemoveTaskResponse](ctx, Call(c), "RemoveTask", r)
}

// GetService implements api.ControlServer.
func (c Control) GetService(ctx context.Context, r *api.GetServiceRequest) (*api.GetServiceResponse, error) {
	return invoke[api.GetServiceResponse](ctx, Call(c), "GetService", r)
}

// ListServices implements api.ControlServer.
func (c Control) ListServices(ctx context.Context, r *api.ListServicesRequest) (*api.ListServicesResponse, error) {
	return invoke[api.ListServicesResponse](ctx, Call(c), "ListServices", r)
}

// CreateService implements api.ControlServer.
func (c Control) CreateService(ctx context.Context, r *api.CreateServiceRequest) (*api.CreateServiceResponse, error) {
	return invoke[api.CreateServiceResponse](ctx, Call(c), "CreateService", r)
}

// UpdateService implements api.ControlServer.
func (c Control) UpdateService(ctx context.Context, r *api.UpdateServiceRequest) (*api.UpdateServiceResponse, error) {
	return invoke[api.UpdateServiceResponse](ctx, Call(c), "UpdateService", r)
}

// RemoveService implements api.ControlServer.
func (c Control) RemoveService(ctx context.Context, r *api.RemoveServiceRequest) (*api.RemoveServiceResponse, error) {
	return invoke[api.RemoveServiceResponse](ctx, Call(c), "RemoveService", r)
}

// ListServiceStatuses implements api.ControlServer.
func (c Control) ListServiceStatuses(ctx context.Context, r *api.ListServiceStatusesRequest) (*api.ListServiceStatusesResponse, error) {
	return invoke[api.ListServiceStatusesResponse](ctx, Call(c), "ListServiceStatuses", r)
}

// GetNetwork implements api.ControlServer.
func (c Control) GetNetwork(ctx context.Context, r *api.GetNetworkRequest) (*api.GetNetworkResponse, error) {
	return invoke[api.GetNetworkResponse](ctx, Call(c), "GetNetwork", r)
}

// ListNetworks implements api.ControlServer.
func (c Control) ListNetworks(ctx context.Context, r *api.ListNetworksRequest) (*api.ListNetworksResponse, error) {
	return invoke[api.ListNetworksResponse](ctx, Call(c), "ListNetworks", r)
}

// CreateNetwork implements api.ControlServer.
func (c Control) CreateNetwork(ctx context.Context, r *api.CreateNetworkRequest) (*api.CreateNetworkResponse, error) {
	return invoke[api.CreateNetworkResponse](ctx, Call(c), "CreateNetwork", r)
}

// RemoveNetwork implements api.ControlServer.
func (c Control) RemoveNetwork(ctx context.Context, r *api.RemoveNetworkRequest) (*api.RemoveNetworkResponse, error) {
	return invoke[api.RemoveNetworkResponse](ctx, Call(c), "RemoveNetwork", r)
}

// GetCluster implements api.ControlServer.
func (c Control) GetCluster(ctx context.Context, r *api.GetClusterRequest) (*api.GetClusterResponse, error) {
	return invoke[api.GetClusterResponse](ctx, Call(c), "GetCluster", r)
}

// ListClusters implements api.ControlServer.
func (c Control) ListClusters(ctx context.Context, r *api.ListClustersRequest) (*api.ListClustersResponse, error) {
	return invoke[api.ListClustersResponse](ctx, Call(c), "ListClusters", r)
}

// UpdateCluster implements api.ControlServer.
func (c Control) UpdateCluster(ctx context.Context, r *api.UpdateClusterRequest) (*api.UpdateClusterResponse, error) {
	return invoke[api.UpdateClusterResponse](ctx, Call(c), "UpdateCluster", r)
}

// GetSecret implements api.ControlServer.
func (c Control) GetSecret(ctx context.Context, r *api.GetSecretRequest) (*api.GetSecretResponse, error) {
	return invoke[api.GetSecretResponse](ctx, Call(c), "GetSecret", r)
}

// UpdateSecret implements api.ControlServer.
func (c Control) UpdateSecret(ctx context.Context, r *api.UpdateSecretRequest) (*api.UpdateSecretResponse, error) {
	return invoke[api.UpdateSecretResponse](ctx, Call(c), "UpdateSecret", r)
}

// ListSecrets implements api.ControlServer.
func (c Control) ListSecrets(ctx context.Context, r *api.ListSecretsRequest) (*api.ListSecretsResponse, error) {
	return invoke[api.ListSecretsResponse](ctx, Call(c), "ListSecrets", r)
}

// CreateSecret implements api.ControlServer.
func (c Control) CreateSecret(ctx context.Context, r *api.CreateSecretRequest) (*api.CreateSecretResponse, error) {
	return invoke[api.CreateSecretResponse](ctx, Call(c), "CreateSecret", r)
}

// RemoveSecret implements api.ControlServer.
func (c Control) RemoveSecret(ctx context.Context, r *api.RemoveSecretRequest) (*api.RemoveSecretResponse, error) {
	return invoke[api.RemoveSecretResponse](ctx, Call(c), "RemoveSecret", r)
}

// GetConfig implements api.ControlServer.
func (c Control) GetConfig(ctx context.Context, r *api.GetConfigRequest) (*api.GetConfigResponse, error) {
	return invoke[api.GetConfigResponse](ctx, Call(c), "GetConfig", r)
}

// UpdateConfig implements api.ControlServer.
func (c Control) UpdateConfig(ctx context.Context, r *api.UpdateConfigRequest) (*api.UpdateConfigResponse, error) {
	return invoke[api.UpdateConfigResponse](ctx, Call(c), "UpdateConfig", r)
}

// ListConfigs implements api.ControlServer.
func (c Control) ListConfigs(ctx context.Context, r *api.ListConfigsRequest) (*api.ListConfigsResponse, error) {
	return invoke[api.ListConfigsResponse](ctx, Call(c), "ListConfigs", r)
}

// CreateConfig implements api.ControlServer.
func (c Control) CreateConfig(ctx context.Context, r *api.CreateConfigRequest) (*api.CreateConfigResponse, error) {
	return invoke[api.CreateConfigResponse](ctx, Call(c), "CreateConfig", r)
}

// RemoveConfig implements api.ControlServer.
func (c Control) RemoveConfig(ctx context.Context, r *api.RemoveConfigRequest) (*api.RemoveConfigResponse, error) {
	return invoke[api.RemoveConfigResponse](ctx, Call(c), "RemoveConfig", r)
}

// GetExtension implements api.ControlServer.
func (c Control) GetExtension(ctx context.Context, r *api.GetExtensionRequest) (*api.GetExtensionResponse, error) {
	return invoke[api.GetExtensionResponse](ctx, Call(c), "GetExtension", r)
}

// CreateExtension implements api.ControlServer.
func (c Control) CreateExtension(ctx context.Context, r *api.CreateExtensionRequest) (*api.CreateExtensionResponse, error) {
	return invoke[api.CreateExtensionResponse](ctx, Call(c), "CreateExtension", r)
}

// RemoveExtension implements api.ControlServer.
func (c Control) RemoveExtension(ctx context.Context, r *api.RemoveExtensionRequest) (*api.RemoveExtensionResponse, error) {
	return invoke[api.RemoveExtensionResponse](ctx, Call(c), "RemoveExtension", r)
}

// GetResource implements api.ControlServer.
func (c Control) GetResource(ctx context.Context, r *api.GetResourceRequest) (*api.GetResourceResponse, error) {
	return invoke[api.GetResourceResponse](ctx, Call(c), "GetResource", r)
}

// UpdateResource implements api.ControlServer.
func (c Control) UpdateResource(ctx context.Context, r *api.UpdateResourceRequest) (*api.UpdateResourceResponse, error) {
	return invoke[api.UpdateResourceResponse](ctx, Call(c), "UpdateResource", r)
}

// ListResources implements api.ControlServer.
func (c Control) ListResources(ctx context.Context, r *api.ListResourcesRequest) (*api.ListResourcesResponse, error) {
	return invoke[api.ListResourcesResponse](ctx, Call(c), "ListResources", r)
}

// CreateResource implements api.ControlServer.
func (c Control) CreateResource(ctx context.Context, r *api.CreateResourceRequest) (*api.CreateResourceResponse, error) {
	return invoke[api.CreateResourceResponse](ctx, Call(c), "CreateResource", r)
}

// RemoveResource implements api.ControlServer.
func (c Control) RemoveResource(ctx context.Context, r *api.RemoveResourceRequest) (*api.RemoveResourceResponse, error) {
	return invoke[api.RemoveResourceResponse](ctx, Call(c), "RemoveResource", r)
}

// CreateVolume implements api.ControlServer.
func (c Control) CreateVolume(ctx context.Context, r *api.CreateVolumeRequest) (*api.CreateVolumeResponse, error) {
	return invoke[api.CreateVolumeResponse](ctx, Call(c), "CreateVolume", r)
}

// GetVolume implements api.ControlServer.
func (c Control) GetVolume(ctx context.Context, r *api.GetVolumeRequest) (*api.GetVolumeResponse, error) {
	return invoke[api.GetVolumeResponse](ctx, Call(c), "GetVolume", r)
}

// UpdateVolume implements api.ControlServer.
func (c Control) UpdateVolume(ctx context.Context, r *api.UpdateVolumeRequest) (*api.UpdateVolumeResponse, error) {
	return invoke[api.UpdateVolumeResponse](ctx, Call(c), "UpdateVolume", r)
}

// ListVolumes implements api.ControlServer.
func (c Control) ListVolumes(ctx context.Context, r *api.ListVolumesRequest) (*api.ListVolumesResponse, error) {
	return invoke[api.ListVolumesResponse](ctx, Call(c), "ListVolumes", r)
}

// RemoveVolume implements api.ControlServer.
func (c Control) RemoveVolume(ctx context.Context, r *api.RemoveVolumeRequest) (*api.RemoveVolumeResponse, error) {
	return invoke[api.RemoveVolumeResponse](ctx, Call(c), "RemoveVolume", r)
}
