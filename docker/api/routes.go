package api

import "net/http"

// newRoutes returns what the API answers. Of two patterns that fit a path the first counts.
func newRoutes() routes {
	rs := routes{}
	rs.addSystem()
	rs.addNetworks()
	rs.addRefused()
	return rs
}

func (rs routes) addSystem() {
	rs.add(http.MethodHead, "/_ping", (*call).ping)
	rs.add(http.MethodGet, "/_ping", (*call).ping)
	rs.add(http.MethodGet, "/version", (*call).versionInfo)
	rs.add(http.MethodGet, "/info", (*call).info)
	rs.add(http.MethodPost, "/auth", (*call).auth)
}

func (rs routes) addNetworks() {
	rs.add(http.MethodGet, "/networks", (*call).networkList)
	rs.add(http.MethodGet, "/networks/", (*call).networkList)
	rs.add(http.MethodPost, "/networks/create", (*call).networkCreate)
	rs.addSince(25, http.MethodPost, "/networks/prune", (*call).networkPrune)
	rs.add(http.MethodGet, "/networks/{name}", (*call).networkInspect)
	rs.add(http.MethodDelete, "/networks/{name}", (*call).networkRemove)
}

// addRefused answers for the parts of Docker that a lab has not: with a sentence, or with empty lists where the docker
// command looks on its way to something else.
func (rs routes) addRefused() {
	const noVolumes = "volumes are not simulated: a container of a lab has no file system to mount them in"
	rs.add(http.MethodGet, "/volumes", (*call).volumeList)
	rs.add(http.MethodPost, "/volumes/create", refuse(noVolumes))
	rs.addSince(25, http.MethodPost, "/volumes/prune", (*call).volumePrune)
	rs.add(http.MethodGet, "/volumes/{name...}", (*call).volumeMissing)
	rs.add(http.MethodDelete, "/volumes/{name...}", (*call).volumeMissing)
	const noBuild = "images are not built in a lab: use one of the built-in images, listed by docker images"
	rs.add(http.MethodPost, "/build", refuse(noBuild))
	rs.add(http.MethodPost, "/build/prune", refuse(noBuild))
	rs.add(http.MethodPost, "/build/cancel", refuse(noBuild))
	rs.add(http.MethodPost, "/commit", refuse(noBuild))
	rs.add(http.MethodPost, "/session", refuse(noBuild))
	rs.add(http.MethodPost, "/grpc", refuse(noBuild))
	const noPlugins = "plugins are not simulated"
	rs.add(http.MethodGet, "/plugins", (*call).pluginList)
	rs.add(http.MethodGet, "/plugins/{name...}", (*call).pluginMissing)
	rs.add(http.MethodPost, "/plugins/{name...}", refuse(noPlugins))
	rs.add(http.MethodDelete, "/plugins/{name...}", refuse(noPlugins))
	for _, first := range []string{"swarm", "nodes", "services", "tasks", "secrets", "configs"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			rs.add(method, "/"+first, (*call).noManager)
			rs.add(method, "/"+first+"/{name...}", (*call).noManager)
		}
	}
}
