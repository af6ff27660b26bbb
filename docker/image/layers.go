package image

import (
	"fmt"
	"regexp"
	"strings"
)

// Layer is a layer of an image, as a registry has it.
type Layer struct {
	Digest string // sha256:<64 hex digits>, of what is downloaded
	DiffID string // sha256:<64 hex digits>, of what it becomes
	Size   int64  // of what is downloaded
}

// Layers returns the image's layers, the lowest first. Their sizes add up to the image's.
func (im *Image) Layers() []Layer {
	count := 1
	for _, step := range []int64{8 << 20, 32 << 20, 96 << 20} {
		if im.Size > step {
			count++
		}
	}
	if len(im.ExposedPorts) > 0 {
		count++
	}
	layers := make([]Layer, count)
	rest := im.Size
	for i := range layers {
		size := rest * 2 / 3
		if i == count-1 {
			size = rest
		}
		rest -= size
		what := fmt.Sprintf("%s:%s %d", im.Name, im.Tag, i)
		layers[i] = Layer{Digest: "sha256:" + hashHex("layer "+what), DiffID: "sha256:" + hashHex("diff "+what), Size: size}
	}
	return layers
}

// words are what tags are made of beside numbers.
var words = regexp.MustCompile(`^(?:v?[0-9].*|latest|stable|mainline|edge|rolling|devel|unstable|alpine|slim|perl|otel|musl|glibc|uclibc|` +
	`trusty|xenial|bionic|focal|jammy|noble|jessie|stretch|buster|bullseye|bookworm|trixie|rc[0-9]*|beta[0-9]*)$`)

// KnownTag tells whether a registry would have the tag: the images here stand for all versions, and not for whatever
// else a tag may say.
func KnownTag(tag string) bool {
	for part := range strings.SplitSeq(tag, "-") {
		if !words.MatchString(part) {
			return false
		}
	}
	return true
}
