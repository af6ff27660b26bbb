package api

import (
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/storage"

	"github.com/netsim-lab/netsim/docker/engine"
	catalog "github.com/netsim-lab/netsim/docker/image"
)

// imageList answers docker images.
func (c *call) imageList() error {
	f, err := c.filters("before", "dangling", "label", "reference", "since", "until")
	if err != nil {
		return err
	}
	match, err := c.imageFilter(f)
	if err != nil {
		return err
	}
	list := []image.Summary{}
	for _, im := range c.s.engine.Images() {
		if match(im) {
			list = append(list, imageSummary(im))
		}
	}
	return c.json(http.StatusOK, list)
}

func imageSummary(im engine.ImageInfo) image.Summary {
	return image.Summary{
		Containers: int64(im.Containers), Created: im.Created.Unix(), ID: im.ID, RepoDigests: orEmpty(im.RepoDigests),
		RepoTags: orEmpty(im.RepoTags), SharedSize: -1, Size: im.Size,
	}
}

// imageFilter returns what tells whether an image passes docker images --filter.
func (c *call) imageFilter(f filters.Args) (func(engine.ImageInfo) bool, error) {
	until, err := untilFilter(f)
	if err != nil {
		return nil, err
	}
	dangling := false
	if f.Contains("dangling") {
		if dangling, err = boolFilter(f, "dangling"); err != nil {
			return nil, err
		}
	}
	var before, since *engine.ImageInfo
	for key, at := range map[string]**engine.ImageInfo{"before": &before, "since": &since} {
		for _, ref := range f.Get(key) {
			im, err := c.s.engine.Image(ref)
			if err != nil {
				return nil, err
			}
			*at = &im
		}
	}
	return func(im engine.ImageInfo) bool {
		switch {
		case before != nil && !im.Created.Before(before.Created), since != nil && !im.Created.After(since.Created),
			!until.IsZero() && !im.Created.Before(until),
			f.Contains("label"), // no image of the registry has one
			f.Contains("dangling") && dangling != (len(im.RepoTags) == 0):
			return false
		}
		return !f.Contains("reference") || slices.ContainsFunc(f.Get("reference"), func(p string) bool { return matchReference(p, im.RepoTags) })
	}, nil
}

// imageCreate answers docker pull: a line of JSON for each step. Errors that come after the first are lines too.
func (c *call) imageCreate() error {
	name := strings.TrimSuffix(c.query.Get("fromImage"), ":")
	if name == "" {
		return &apiError{http.StatusNotImplemented, "images are not imported in a lab: pull one of the built-in images, listed by docker search ''"}
	}
	if tag := c.query.Get("tag"); tag != "" {
		sep := ":"
		if strings.HasPrefix(tag, "sha256:") {
			sep = "@"
		}
		name += sep + tag
	}
	enc := json.NewEncoder(c.w)
	_, err := c.s.engine.Pull(c.ctx(), name, func(p engine.PullProgress) {
		if !c.started {
			c.begin("application/json")
		}
		_ = enc.Encode(progressLine(p)) // a client that has left ends the context
		c.flush()
	})
	if err != nil && c.started {
		_ = enc.Encode(pullFailure{Error: err.Error(), Detail: pullError{err.Error()}}) // likewise
	}
	return err
}

// pullLine is a step of a pull as Docker sends it.
type pullLine struct {
	Status   string      `json:"status"`
	Detail   *pullDetail `json:"progressDetail,omitempty"`
	Progress string      `json:"progress,omitempty"`
	ID       string      `json:"id,omitempty"`
}

type pullDetail struct {
	Current int64 `json:"current,omitempty"`
	Total   int64 `json:"total,omitempty"`
}

type pullFailure struct {
	Detail pullError `json:"errorDetail"`
	Error  string    `json:"error"`
}

type pullError struct {
	Message string `json:"message"`
}

// progressLine is a step of a pull. Steps of a layer have a detail, even an empty one; lines of the whole have none.
func progressLine(p engine.PullProgress) pullLine {
	line := pullLine{Status: p.Status, ID: p.ID}
	if p.ID == "" || strings.HasPrefix(p.Status, "Pulling from ") {
		return line
	}
	line.Detail = &pullDetail{Current: p.Current, Total: p.Total}
	if p.Total > 0 {
		line.Progress = progressBar(p.Current, p.Total)
	}
	return line
}

// imageInspect answers docker image inspect.
func (c *call) imageInspect() error {
	im, err := c.s.engine.Image(c.name)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, inspectImage(im))
}

// inspectedImage is an image in the order of keys of API 1.50, which the docker command prints as it comes.
type inspectedImage struct {
	ID            string `json:"Id"`
	RepoTags      []string
	RepoDigests   []string
	Parent        string
	Comment       string
	Created       string
	DockerVersion string
	Author        string
	Config        *container.Config
	Architecture  string
	Os            string
	Size          int64
	GraphDriver   storage.DriverData
	RootFS        image.RootFS
	Metadata      image.Metadata
}

func inspectImage(im engine.ImageInfo) inspectedImage {
	v := inspectedImage{
		ID: im.ID, RepoTags: orEmpty(im.RepoTags), RepoDigests: orEmpty(im.RepoDigests), Created: stamp(im.Created),
		Config: imageConfig(im.Image), Architecture: runtime.GOARCH, Os: "linux", Size: im.Size,
		GraphDriver: storage.DriverData{Name: "netsim"}, RootFS: image.RootFS{Type: "layers"},
		Metadata: image.Metadata{LastTagTime: im.LastTagged},
	}
	for _, l := range im.Layers {
		v.RootFS.Layers = append(v.RootFS.Layers, l.DiffID)
	}
	return v
}

// imageConfig is what containers take from an image.
func imageConfig(im *catalog.Image) *container.Config {
	info := engine.ContainerInfo{
		Env: im.Env, ExposedPorts: im.ExposedPorts, Healthcheck: im.Healthcheck,
		Config: engine.ContainerConfig{Command: im.Cmd, Entrypoint: im.Entrypoint},
	}
	v := wireConfig(&info)
	v.Labels = nil
	return v
}

// imageHistory answers docker history: a line for each layer, the newest first.
func (c *call) imageHistory() error {
	im, err := c.s.engine.Image(c.name)
	if err != nil {
		return err
	}
	list := []image.HistoryResponseItem{}
	for i, l := range slices.Backward(im.Layers) {
		item := image.HistoryResponseItem{ID: "<missing>", Created: im.Created.Unix(), CreatedBy: "netsim: layer of " + im.Image.Name, Size: l.Size}
		if i == len(im.Layers)-1 {
			item.ID, item.Tags = im.ID, im.RepoTags
		}
		list = append(list, item)
	}
	return c.json(http.StatusOK, list)
}

// imageTag answers docker tag.
func (c *call) imageTag() error {
	target := c.query.Get("repo")
	if tag := c.query.Get("tag"); tag != "" {
		target += ":" + tag
	}
	if err := c.s.engine.Tag(c.name, target); err != nil {
		return err
	}
	return c.status(http.StatusCreated)
}

// imageRemove answers docker rmi.
func (c *call) imageRemove() error {
	changes, err := c.s.engine.RemoveImage(c.name, c.bool("force"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, deleted(changes))
}

func deleted(changes []engine.ImageChange) []image.DeleteResponse {
	list := []image.DeleteResponse{}
	for _, ch := range changes {
		list = append(list, image.DeleteResponse{Untagged: ch.Untagged, Deleted: ch.Deleted})
	}
	return list
}

// imagePrune answers docker image prune.
func (c *call) imagePrune() error {
	f, err := c.filters("dangling", "label", "label!", "until")
	if err != nil {
		return err
	}
	all := false
	if f.Contains("dangling") {
		dangling, err := boolFilter(f, "dangling")
		if err != nil {
			return err
		}
		all = !dangling
	}
	if f.Contains("label") || f.Contains("until") {
		return &apiError{http.StatusNotImplemented, "images are pruned without filters here: those that no container uses"}
	}
	changes, reclaimed := c.s.engine.PruneImages(all)
	return c.json(http.StatusOK, image.PruneReport{ImagesDeleted: deleted(changes), SpaceReclaimed: uint64(max(reclaimed, 0))})
}

// imageSearch answers docker search, from the registry that every lab has.
func (c *call) imageSearch() error {
	term := strings.ToLower(c.query.Get("term"))
	found := []registry.SearchResult{}
	for _, im := range catalog.All() {
		if strings.Contains(im.Name, term) {
			found = append(found, registry.SearchResult{
				Name: im.Name, Description: "built into netsim", IsOfficial: !strings.Contains(im.Name, "/"),
			})
		}
	}
	return c.json(http.StatusOK, found)
}

// distributionInspect answers what docker service create asks the registry.
func (c *call) distributionInspect() error {
	im, err := c.s.engine.Distribution(c.name)
	if err != nil {
		return err
	}
	v := distribution{Platforms: []platform{{Architecture: runtime.GOARCH, OS: "linux"}}}
	v.Descriptor.MediaType = "application/vnd.docker.distribution.manifest.v2+json"
	v.Descriptor.Digest, v.Descriptor.Size = im.Digest, im.Size
	return c.json(http.StatusOK, v)
}

// distribution is what a registry says of an image.
type distribution struct {
	Descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int64  `json:"size"`
	}
	Platforms []platform
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}
