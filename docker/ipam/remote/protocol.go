package remote

// The messages of Docker's remote IPAM driver protocol (libnetwork's ipams/remote/api), as JSON has them.
type (
	activateAnswer struct {
		Implements []string
	}
	capabilitiesAnswer struct {
		RequiresMACAddress    bool
		RequiresRequestReplay bool
	}
	spacesAnswer struct {
		LocalDefaultAddressSpace  string
		GlobalDefaultAddressSpace string
	}
	poolRequest struct {
		AddressSpace string
		Pool         string
		SubPool      string
		Options      map[string]string
		V6           bool
	}
	poolAnswer struct {
		PoolID string
		Pool   string // in CIDR form
		Data   map[string]string
	}
	releasePoolRequest struct {
		PoolID string
	}
	addressRequest struct {
		PoolID  string
		Address string
		Options map[string]string
	}
	addressAnswer struct {
		Address string // in CIDR form
		Data    map[string]string
	}
	releaseAddressRequest struct {
		PoolID  string
		Address string
	}
	errorAnswer struct {
		Error string `json:",omitempty"` // of the driver
		Err   string `json:",omitempty"` // of the plug-in's machinery
	}
)

const (
	mediaType  = "application/vnd.docker.plugins.v1.2+json"
	driverType = "IpamDriver"

	pathActivate       = "/Plugin.Activate"
	pathCapabilities   = "/IpamDriver.GetCapabilities"
	pathSpaces         = "/IpamDriver.GetDefaultAddressSpaces"
	pathRequestPool    = "/IpamDriver.RequestPool"
	pathReleasePool    = "/IpamDriver.ReleasePool"
	pathRequestAddress = "/IpamDriver.RequestAddress"
	pathReleaseAddress = "/IpamDriver.ReleaseAddress"

	// Options of an address, and data of a pool.
	optRequestType = "RequestAddressType"
	optGateway     = "com.docker.network.gateway"
	optMAC         = "com.docker.network.endpoint.macaddress"
)
