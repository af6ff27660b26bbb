package virtual

import (
	"errors"
	"os"
	"time"
)

const (
	// childEnv is the variable by which a process knows that a Command runs it.
	childEnv = "NETSIM_VIRTUAL_CHILD"
	// protocol is its value: the version of what both agree on.
	protocol = "1"
)

// Start is when virtual time begins, always the same, so that two runs print the same times.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// checkChild returns whether a Command runs this process.
func checkChild() (bool, error) {
	switch v := os.Getenv(childEnv); v {
	case "":
		return false, nil
	case protocol:
		return true, nil
	default:
		return true, errors.New("netsim-virtual is of another version than the netsim that runs it: build both with \"make build\"")
	}
}
