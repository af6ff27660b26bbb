package image

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// builtin lists the constructors of the images, by name.
var builtin = []func() *Image{
	alpineImage,
	busyboxImage,
	adminImage,
	webImage,
	dockerDemoImage,
	hrmImage,
	interlockImage,
	netshootImage,
	nginxImage,
	redisImage,
	ubuntuImage,
}

// All returns every built-in image with its default tag, sorted by name.
func All() []*Image {
	all := make([]*Image, 0, len(builtin))
	for _, build := range builtin {
		all = append(all, seal(build(), "latest"))
	}
	slices.SortFunc(all, func(a, b *Image) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Names returns the names of the built-in images, sorted.
func Names() []string {
	var names []string
	for _, im := range All() {
		names = append(names, im.Name)
	}
	return names
}

// Lookup returns the built-in image that ref names: redis, redis:3,
// docker.io/library/redis:latest. Every tag of a known repository exists and
// holds the same programs; a digest must be the image's own. The error wraps
// ErrReference, or is a *NotFoundError or a *ManifestError.
func Lookup(ref string) (*Image, error) {
	r, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	for _, build := range builtin {
		im := build()
		if im.Name != r.Name {
			continue
		}
		seal(im, r.Tag)
		if r.Digest != "" && r.Digest != im.Digest {
			return nil, &ManifestError{Ref: ref}
		}
		return im, nil
	}
	return nil, &NotFoundError{Name: r.Name}
}

// seal fills in what follows from an image's name and tag.
func seal(im *Image, tag string) *Image {
	im.Tag = tag
	im.ID = hashHex("image " + im.Name + ":" + tag)
	im.Digest = "sha256:" + hashHex("manifest "+im.Name+":"+tag)
	if im.Programs == nil {
		im.Programs = map[string]Program{}
	}
	im.Programs["sleep"] = sleep
	return im
}

func hashHex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func built(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 18, 32, 11, 0, time.UTC)
}

// busyboxImage, and those below without programs of their own, run everything
// but sleep through the shell (A11).
func busyboxImage() *Image {
	return &Image{
		Name: "busybox", Size: 1_093_484, Created: built(2016, 10, 7),
		Cmd: []string{"sh"}, Tools: ToolsBusybox,
	}
}

func alpineImage() *Image {
	return &Image{
		Name: "alpine", Size: 4_803_000, Created: built(2016, 10, 18),
		Cmd: []string{"/bin/sh"}, Env: []string{defaultPath}, Tools: ToolsAlpine,
	}
}

func ubuntuImage() *Image {
	return &Image{
		Name: "ubuntu", Size: 126_957_114, Created: built(2016, 11, 2),
		Cmd: []string{"/bin/bash"}, Env: []string{defaultPath}, Tools: ToolsUbuntu,
	}
}

func netshootImage() *Image {
	return &Image{
		Name: "nicolaka/netshoot", Size: 174_310_220, Created: built(2016, 10, 29),
		Cmd: []string{"/bin/bash"}, Env: []string{defaultPath}, Tools: ToolsFull,
	}
}
