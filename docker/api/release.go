package api

import (
	"strconv"
	"strings"
)

// Release is a version of Docker, as an engine says that it has it.
type Release struct {
	Engine  string // the engine's version
	Version string // the highest API that is served
}

// The releases that an engine may be of.
var (
	// ReleaseToday speaks the highest API that is known here.
	ReleaseToday = Release{Engine: EngineVersion, Version: Version}
	// Release1703 is the last of the guide's era. To an engine of it the docker command does not wait for services that it
	// creates, updates or scales: that came with API 1.29.
	Release1703 = Release{Engine: "17.03.2-netsim", Version: "1.26"}
)

// highest is the number of the highest API version that is served.
func (r Release) highest() apiVersion {
	_, minor, _ := splitVersion(r.Version)
	return apiVersion(minor)
}

// splitVersion returns the two numbers of a version like 1.41.
func splitVersion(text string) (major, minor int, ok bool) {
	a, b, _ := strings.Cut(text, ".")
	major, errMajor := strconv.Atoi(a)
	minor, errMinor := strconv.Atoi(b)
	return major, minor, errMajor == nil && errMinor == nil
}
