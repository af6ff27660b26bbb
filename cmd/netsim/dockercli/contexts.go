package dockercli

import (
	"errors"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/context/store"
)

// noContexts is the store of contexts beside the default one: there are none.
type noContexts struct{}

var (
	errNoContexts = errors.New(noContext)
	_             = store.Store(noContexts{})
)

// List implements store.Store.
func (noContexts) List() ([]store.Metadata, error) { return nil, nil }

// GetMetadata implements store.Store.
func (noContexts) GetMetadata(string) (store.Metadata, error) {
	return store.Metadata{}, errors.Join(errdefs.ErrNotFound, errNoContexts)
}

// ListTLSFiles implements store.Store.
func (noContexts) ListTLSFiles(string) (map[string]store.EndpointFiles, error) { return nil, nil }

// GetTLSData implements store.Store.
func (noContexts) GetTLSData(string, string, string) ([]byte, error) { return nil, errdefs.ErrNotFound }

// GetStorageInfo implements store.Store.
func (noContexts) GetStorageInfo(string) store.StorageInfo {
	return store.StorageInfo{MetadataPath: "<IN MEMORY>", TLSPath: "<IN MEMORY>"}
}

// CreateOrUpdate implements store.Store.
func (noContexts) CreateOrUpdate(store.Metadata) error { return errNoContexts }

// Remove implements store.Store.
func (noContexts) Remove(string) error { return errNoContexts }

// ResetTLSMaterial implements store.Store.
func (noContexts) ResetTLSMaterial(string, *store.ContextTLSData) error { return errNoContexts }

// ResetEndpointTLSMaterial implements store.Store.
func (noContexts) ResetEndpointTLSMaterial(string, string, *store.EndpointTLSData) error {
	return errNoContexts
}
