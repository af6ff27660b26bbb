package api

import "net/http"

const (
	get    = http.MethodGet
	post   = http.MethodPost
	remove = http.MethodDelete
)

// newRoutes returns what the API answers. Of two patterns that fit a path the first counts.
func newRoutes() routes {
	rs := routes{}
	rs.addSystem()
	rs.addNetworks()
	rs.addContainers()
	rs.addImages()
	rs.addSwarm()
	rs.addRefused()
	return rs
}

func (rs routes) addSystem() {
	rs.add(http.MethodHead, "/_ping", (*call).ping)
	rs.add(get, "/_ping", (*call).ping)
	rs.add(get, "/version", (*call).versionInfo)
	rs.add(get, "/info", (*call).info)
	rs.add(get, "/events", (*call).events)
	rs.addSince(25, get, "/system/df", (*call).diskUsage)
	rs.add(post, "/auth", (*call).auth)
}

func (rs routes) addNetworks() {
	rs.add(get, "/networks", (*call).networkList)
	rs.add(post, "/networks/create", (*call).networkCreate)
	rs.addSince(25, post, "/networks/prune", (*call).networkPrune)
	rs.add(post, "/networks/{name}/connect", (*call).networkConnect)
	rs.add(post, "/networks/{name}/disconnect", (*call).networkDisconnect)
	rs.add(get, "/networks/{name}", (*call).networkInspect)
	rs.add(remove, "/networks/{name}", (*call).networkRemove)
}

func (rs routes) addContainers() {
	rs.add(get, "/containers/json", (*call).containerList)
	rs.add(post, "/containers/create", (*call).containerCreate)
	rs.addSince(25, post, "/containers/prune", (*call).containerPrune)
	for path, h := range map[string]handler{
		"json": (*call).containerInspect, "top": (*call).containerTop, "logs": (*call).containerLogs, "stats": (*call).containerStats,
		"changes": (*call).containerChanges,
	} {
		rs.add(get, "/containers/{name}/"+path, h)
	}
	for path, h := range map[string]handler{
		"start": (*call).containerStart, "stop": (*call).containerStop, "restart": (*call).containerRestart, "kill": (*call).containerKill,
		"pause": simple(pauseContainer), "unpause": simple(unpauseContainer), "rename": simple(renameContainer),
		"wait": (*call).containerWait, "resize": (*call).containerResize, "attach": (*call).containerAttach,
		"update": (*call).containerUpdate, "exec": (*call).execCreate,
	} {
		rs.add(post, "/containers/{name}/"+path, h)
	}
	rs.add(remove, "/containers/{name}", simple(removeContainer))
	rs.add(post, "/exec/{name}/start", (*call).execStart)
	rs.add(post, "/exec/{name}/resize", (*call).execResize)
	rs.add(get, "/exec/{name}/json", (*call).execInspect)
	const noFiles = "the files of containers are not simulated: docker cp, export and commit have nothing to copy"
	for _, method := range []string{get, http.MethodHead, http.MethodPut} {
		rs.add(method, "/containers/{name}/archive", refuse(noFiles))
	}
	rs.add(get, "/containers/{name}/export", refuse(noFiles))
	rs.add(get, "/containers/{name}/attach/ws", refuse("attaching over a WebSocket is not simulated: use docker attach"))
	for _, method := range []string{get, post, remove} {
		rs.add(method, "/containers/{name}/checkpoints", refuse("checkpoints are not simulated"))
	}
}

func (rs routes) addImages() {
	rs.add(get, "/images/json", (*call).imageList)
	rs.add(get, "/images/search", (*call).imageSearch)
	rs.add(post, "/images/create", (*call).imageCreate)
	rs.addSince(25, post, "/images/prune", (*call).imagePrune)
	rs.add(get, "/images/{name...}/json", (*call).imageInspect)
	rs.add(get, "/images/{name...}/history", (*call).imageHistory)
	rs.add(post, "/images/{name...}/tag", (*call).imageTag)
	rs.add(remove, "/images/{name...}", (*call).imageRemove)
	const noFiles = "images of a lab are programs, not files: they are neither saved nor loaded nor pushed"
	rs.add(post, "/images/{name...}/push", refuse(noFiles))
	rs.add(get, "/images/{name...}/get", refuse(noFiles))
	rs.add(get, "/images/get", refuse(noFiles))
	rs.add(post, "/images/load", refuse(noFiles))
	rs.addSince(30, get, "/distribution/{name...}/json", (*call).distributionInspect)
}

// addRefused answers for the parts of Docker that a lab has not: with a sentence, or with empty lists where the docker
// command looks on its way to something else.
func (rs routes) addRefused() {
	const noVolumes = "volumes are not simulated: a container of a lab has no file system to mount them in"
	rs.add(get, "/volumes", (*call).volumeList)
	rs.add(post, "/volumes/create", refuse(noVolumes))
	rs.addSince(25, post, "/volumes/prune", (*call).volumePrune)
	rs.add(get, "/volumes/{name...}", (*call).volumeMissing)
	rs.add(remove, "/volumes/{name...}", (*call).volumeMissing)
	const noBuild = "images are not built in a lab: use one of the built-in images, listed by docker search ''"
	for _, path := range []string{"/build", "/build/cancel", "/commit", "/session", "/grpc"} {
		rs.add(post, path, refuse(noBuild))
	}
	rs.addSince(31, post, "/build/prune", (*call).buildPrune)
	const noPlugins = "plugins are not simulated"
	rs.add(get, "/plugins", (*call).pluginList)
	rs.add(get, "/plugins/{name...}", (*call).pluginMissing)
	rs.add(post, "/plugins/{name...}", refuse(noPlugins))
	rs.add(remove, "/plugins/{name...}", refuse(noPlugins))
}
