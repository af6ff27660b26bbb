package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/image"
)

// store is the images that the host has.
type store struct {
	mu     sync.Mutex
	images map[string]*stored // by id, 64 hex digits; guarded by mu
}

// stored is an image with its names.
type stored struct {
	image   *image.Image
	tags    []string // nginx:latest
	digests []string // nginx@sha256:<hex>
	tagged  time.Time
}

// ImageInfo is an image that the host has.
type ImageInfo struct {
	ID          string   // sha256:<64 hex digits>
	RepoTags    []string // nginx:latest
	RepoDigests []string // nginx@sha256:<64 hex digits>
	Created     time.Time
	LastTagged  time.Time
	Size        int64
	Containers  int // that are made from it
	Layers      []image.Layer
	Image       *image.Image // must not be changed
}

// ImageChange is what became of a name or an image; one of its fields is set.
type ImageChange struct{ Untagged, Deleted string }

// PullProgress is a line of docker pull.
type PullProgress struct {
	ID             string // the layer's, or the tag; empty: the line is about all of it
	Status         string
	Current, Total int64 // bytes; 0: there is nothing to show
}

func errNoImage(ref string) error {
	if r, err := image.ParseReference(ref); err == nil && !strings.HasPrefix(ref, "sha256:") {
		if ref = r.Name + ":" + r.Tag; r.Digest != "" {
			ref = r.Name + "@" + r.Digest
		}
	}
	return fail(ErrNotFound, "No such image: %s", ref)
}

// registry returns the image that the registry has under a reference. Errors wrap ErrNotFound or ErrInvalid, and are
// those of package image.
func registry(ref string) (*image.Image, error) {
	r, err := image.ParseReference(ref)
	if err != nil {
		return nil, because(ErrInvalid, err)
	}
	im, err := image.Lookup(ref)
	switch {
	case err != nil:
		return nil, because(ErrNotFound, err)
	case r.Digest == "" && !image.KnownTag(r.Tag):
		return nil, because(ErrNotFound, &image.ManifestError{Ref: r.Name + ":" + r.Tag})
	}
	return im, nil
}

// Distribution returns what the registry has under a reference, which the host need not have. The error wraps
// ErrNotFound or ErrInvalid.
func (e *Engine) Distribution(ref string) (*image.Image, error) { return registry(ref) }

// Pull fetches an image from the registry, which is built in, and tells of each step as Docker does; progress may be
// nil. The error wraps ErrNotFound or ErrInvalid, or is that of ctx.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(PullProgress)) (ImageInfo, error) {
	if progress == nil {
		progress = func(PullProgress) {}
	}
	im, err := registry(ref)
	if err != nil {
		return ImageInfo{}, err
	}
	repository := im.Name
	if !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	progress(PullProgress{ID: im.Tag, Status: "Pulling from " + repository})
	fresh := e.images.image(im.ID) == nil
	if fresh {
		if err := e.pullLayers(ctx, im, progress); err != nil {
			return ImageInfo{}, err
		}
	}
	e.images.add(im)
	progress(PullProgress{Status: "Digest: " + im.Digest})
	status := "Image is up to date for "
	if fresh {
		status = "Downloaded newer image for "
	}
	progress(PullProgress{Status: "Status: " + status + im.Ref()})
	e.imageEvent("pull", im.Ref(), im.Name)
	return e.Image(im.ID)
}

// pullSteps is in how many steps a layer is shown to come.
const pullSteps = 4

func (e *Engine) pullLayers(ctx context.Context, im *image.Image, progress func(PullProgress)) error {
	layers := im.Layers()
	name := func(l image.Layer) string { return strings.TrimPrefix(l.Digest, "sha256:")[:12] }
	for _, l := range layers {
		progress(PullProgress{ID: name(l), Status: "Pulling fs layer"})
	}
	for _, l := range layers {
		for n := range int64(pullSteps) {
			progress(PullProgress{ID: name(l), Status: "Downloading", Current: l.Size * (n + 1) / pullSteps, Total: l.Size})
			if err := e.pullPause(ctx); err != nil {
				return err
			}
		}
		progress(PullProgress{ID: name(l), Status: "Verifying Checksum"})
		progress(PullProgress{ID: name(l), Status: "Download complete"})
	}
	for _, l := range layers {
		progress(PullProgress{ID: name(l), Status: "Extracting", Current: l.Size, Total: l.Size})
		progress(PullProgress{ID: name(l), Status: "Pull complete"})
	}
	return nil
}

// pullPause waits as long as a step of a pull takes.
func (e *Engine) pullPause(ctx context.Context) error {
	if e.cfg.PullDelay <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(e.cfg.PullDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pull: %w", ctx.Err())
	}
}

// image returns the image of an id; nil: there is none.
func (s *store) image(id string) *image.Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.images[id]; st != nil {
		return st.image
	}
	return nil
}

func (s *store) add(im *image.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.images[im.ID]
	if st == nil {
		st = &stored{image: im}
		s.images[im.ID] = st
	}
	s.untag(im.Ref())
	st.tags, st.tagged = append(st.tags, im.Ref()), time.Now()
	if digest := im.Name + "@" + im.Digest; !slices.Contains(st.digests, digest) {
		st.digests = append(st.digests, digest)
	}
}

// untag takes a name away from the image that has it; the caller holds mu.
func (s *store) untag(tag string) {
	for _, st := range s.images {
		st.tags = slices.DeleteFunc(st.tags, func(t string) bool { return t == tag })
	}
}

// find returns the image of a reference or id, or whose id begins so, and the tag if it was one.
func (s *store) find(ref string) (im *image.Image, tag string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, parse := image.ParseReference(ref)
	var found []*stored
	hex, isID := strings.CutPrefix(ref, "sha256:")
	for id, st := range s.images {
		if parse == nil && !isID {
			name := r.Name + ":" + r.Tag
			if r.Digest != "" && slices.Contains(st.digests, r.Name+"@"+r.Digest) {
				return st.image, "", nil
			}
			if r.Digest == "" && slices.Contains(st.tags, name) {
				return st.image, name, nil
			}
		}
		if hex != "" && strings.HasPrefix(id, hex) {
			found = append(found, st)
		}
	}
	switch len(found) {
	case 1:
		return found[0].image, "", nil
	case 0:
		if parse != nil && !isID {
			return nil, "", because(ErrInvalid, parse)
		}
	}
	return nil, "", errNoImage(ref)
}

// Images returns the host's images, the newest first.
func (e *Engine) Images() []ImageInfo {
	users := e.imageUsers()
	e.images.mu.Lock()
	defer e.images.mu.Unlock()
	all := make([]ImageInfo, 0, len(e.images.images))
	for _, st := range e.images.images {
		all = append(all, st.info(len(users[st.image.ID])))
	}
	slices.SortFunc(all, func(a, b ImageInfo) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return all
}

// imageUsers returns the containers by the id of their image.
func (e *Engine) imageUsers() map[string][]*Container {
	users := map[string][]*Container{}
	for _, c := range e.Containers() {
		users[c.image.ID] = append(users[c.image.ID], c)
	}
	return users
}

func (st *stored) info(containers int) ImageInfo {
	return ImageInfo{
		ID: "sha256:" + st.image.ID, RepoTags: slices.Clone(st.tags), RepoDigests: slices.Clone(st.digests), Created: st.image.Created,
		LastTagged: st.tagged, Size: st.image.Size, Containers: containers, Layers: st.image.Layers(), Image: st.image,
	}
}

// Image returns the host's image of a reference or id, or whose id begins so. The error wraps ErrNotFound.
func (e *Engine) Image(ref string) (ImageInfo, error) {
	im, _, err := e.images.find(ref)
	if err != nil {
		return ImageInfo{}, err
	}
	users := len(e.imageUsers()[im.ID])
	e.images.mu.Lock()
	defer e.images.mu.Unlock()
	st := e.images.images[im.ID]
	if st == nil {
		return ImageInfo{}, errNoImage(ref)
	}
	return st.info(users), nil
}

// imageFor returns the image of a new container.
func (e *Engine) imageFor(ref string, pull PullPolicy) (*image.Image, error) {
	im, _, err := e.images.find(ref)
	switch {
	case err == nil && pull != PullAlways:
		return im, nil
	case pull == PullNever || errors.Is(err, ErrInvalid):
		return nil, err
	}
	info, err := e.Pull(context.Background(), ref, nil)
	return info.Image, err
}

// Tag gives an image of the host one more name.
func (e *Engine) Tag(source, target string) error {
	im, _, err := e.images.find(source)
	if err != nil {
		return err
	}
	r, err := image.ParseReference(target)
	if err != nil || r.Digest != "" {
		return fail(ErrInvalid, "invalid tag: %s", target)
	}
	name := r.Name + ":" + r.Tag
	e.images.mu.Lock()
	e.images.untag(name)
	if st := e.images.images[im.ID]; st != nil {
		st.tags, st.tagged = append(st.tags, name), time.Now()
	}
	e.images.mu.Unlock()
	e.imageEvent("tag", "sha256:"+im.ID, name)
	return nil
}

// RemoveImage takes a name away from an image, and the image with its last name. One that a container is made from
// stays, unless it does not run and force is set. The error wraps ErrNotFound or ErrConflict.
func (e *Engine) RemoveImage(ref string, force bool) ([]ImageChange, error) {
	im, tag, err := e.images.find(ref)
	if err != nil {
		return nil, err
	}
	users := e.imageUsers()[im.ID]
	e.images.mu.Lock()
	defer e.images.mu.Unlock()
	st := e.images.images[im.ID]
	switch {
	case st == nil:
		return nil, errNoImage(ref)
	case tag != "" && len(st.tags) > 1:
		return []ImageChange{e.images.remove(e, st, tag)}, nil
	case tag == "" && len(st.tags) > 1 && !force:
		return nil, fail(ErrConflict, "conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories", im.ID[:12])
	}
	if err := inUse(im, ref, tag, users, force); err != nil {
		return nil, err
	}
	return e.images.delete(e, st), nil
}

// inUse refuses to remove an image that containers are made from.
func inUse(im *image.Image, ref, tag string, users []*Container, force bool) error {
	for _, c := range users {
		switch running := c.current() != nil; {
		case running && tag == "" || running && force:
			return fail(ErrConflict, "conflict: unable to delete %s (cannot be forced) - image is being used by running container %s", im.ID[:12], c.id[:12])
		case tag != "" && !force:
			return fail(ErrConflict, "conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s", ref, c.id[:12], im.ID[:12])
		case !force:
			return fail(ErrConflict, "conflict: unable to delete %s (must be forced) - image is being used by stopped container %s", im.ID[:12], c.id[:12])
		}
	}
	return nil
}

// remove takes one name away; the caller holds mu.
func (s *store) remove(e *Engine, st *stored, tag string) ImageChange {
	st.tags = slices.DeleteFunc(st.tags, func(t string) bool { return t == tag })
	e.imageEvent("untag", "sha256:"+st.image.ID, "sha256:"+st.image.ID)
	return ImageChange{Untagged: tag}
}

// delete removes an image with all its names; the caller holds mu.
func (s *store) delete(e *Engine, st *stored) []ImageChange {
	var changes []ImageChange
	for _, tag := range slices.Clone(st.tags) {
		changes = append(changes, s.remove(e, st, tag))
	}
	for _, digest := range st.digests {
		changes = append(changes, ImageChange{Untagged: digest})
	}
	delete(s.images, st.image.ID)
	changes = append(changes, ImageChange{Deleted: "sha256:" + st.image.ID})
	for _, l := range slices.Backward(st.image.Layers()) {
		changes = append(changes, ImageChange{Deleted: l.DiffID})
	}
	e.imageEvent("delete", "sha256:"+st.image.ID, "sha256:"+st.image.ID)
	return changes
}

// PruneImages removes the images that no container is made from: those without a name, or all of them.
func (e *Engine) PruneImages(all bool) (changes []ImageChange, reclaimed int64) {
	users := e.imageUsers()
	e.images.mu.Lock()
	defer e.images.mu.Unlock()
	for id, st := range e.images.images {
		if len(users[id]) == 0 && (all || len(st.tags) == 0) {
			changes = append(changes, e.images.delete(e, st)...)
			reclaimed += st.image.Size
		}
	}
	return changes, reclaimed
}
