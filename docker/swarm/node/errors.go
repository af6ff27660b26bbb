package node

// Error is an error of this package, a constant whose text is Docker's. All mean that the swarm cannot be asked or
// changed by this node as things are; Docker's API answers them with status 503.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

// Unavailable marks the error as Docker's errdefs does.
func (Error) Unavailable() {}

// The errors (W10, W17; dockerd's daemon/cluster/errors.go).
const (
	ErrNoSwarm     Error = "This node is not part of a swarm"
	ErrSwarmExists Error = `This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.`
	ErrJoinTimeout Error = "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. " +
		`Use the "docker info" command to see the current swarm status of your node.`
	ErrLocked Error = "Swarm is encrypted and needs to be unlocked before it can be used. " +
		`Please use "docker swarm unlock" to unlock it.`
	ErrExpired    Error = "Swarm certificates have expired. To replace them, leave the swarm and join again."
	ErrNotManager Error = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. " +
		"Please run this command on a manager node or promote the current node to a manager."
	ErrNotInSwarm Error = `This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`
	ErrPreparing  Error = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
)
