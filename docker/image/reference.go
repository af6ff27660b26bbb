package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrReference is wrapped by every error about a malformed image reference.
var ErrReference = errors.New("invalid reference format")

// NotFoundError says that no built-in image has this name. Its text is that of
// an engine whose pull was refused.
type NotFoundError struct {
	Name string // the repository as it was asked for
}

// Error implements error.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("pull access denied for %s, repository does not exist or may require 'docker login': "+
		"denied: requested access to the resource is denied", e.Name)
}

// ManifestError says that the image exists, but not with this digest.
type ManifestError struct {
	Ref string
}

// Error implements error.
func (e *ManifestError) Error() string {
	return fmt.Sprintf("manifest for %s not found: manifest unknown: manifest unknown", e.Ref)
}

// Reference is an image reference in its familiar form.
type Reference struct {
	Name   string // repository without docker.io/ and library/
	Tag    string // "latest" if none was given
	Digest string // sha256:<hex>, "" if none was given
}

const maxReference = 512 // longer than any legal name, tag and digest

var (
	rePath   = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	reDomain = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.?)+(?::[0-9]+)?$`)
	reTag    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	reDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// ParseReference reads redis, redis:3, docker.io/library/redis:latest or
// chrch/web@sha256:... and normalises it.
func ParseReference(ref string) (Reference, error) {
	if len(ref) > maxReference {
		return Reference{}, fmt.Errorf("%w: longer than %d characters", ErrReference, maxReference)
	}
	r := Reference{Tag: "latest"}
	rest, digest, hasDigest := strings.Cut(ref, "@")
	if hasDigest {
		if !reDigest.MatchString(digest) {
			return Reference{}, ErrReference
		}
		r.Digest = digest
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, r.Tag = rest[:i], rest[i+1:]
	}
	if !reTag.MatchString(r.Tag) {
		return Reference{}, ErrReference
	}
	domain, repo := splitDomain(rest)
	if repo != strings.ToLower(repo) {
		return Reference{}, fmt.Errorf("%w: repository name (%s) must be lowercase", ErrReference, repo)
	}
	if !validPath(repo) {
		return Reference{}, ErrReference
	}
	r.Name = repo
	if domain != "" {
		r.Name = domain + "/" + repo
	}
	return r, nil
}

// splitDomain cuts the registry off a name: "" stands for Docker's own, whose
// library/ prefix goes too where only a name is behind it, as in distribution's familiar names.
func splitDomain(name string) (domain, repo string) {
	domain, repo = cutDomain(name)
	if domain == "index.docker.io" {
		domain = officialDomain
	}
	if inner, _ := cutDomain(repo); domain == officialDomain && inner == "" { // else the rest would name another registry
		domain = ""
	}
	if official, ok := strings.CutPrefix(repo, "library/"); domain == "" && ok && !strings.Contains(official, "/") {
		repo = official
	}
	return domain, repo
}

// officialDomain is Docker's own registry.
const officialDomain = "docker.io"

// cutDomain cuts off what can only be a registry.
func cutDomain(name string) (domain, rest string) {
	domain, rest, ok := strings.Cut(name, "/")
	if ok && reDomain.MatchString(domain) && (strings.ContainsAny(domain, ".:") || domain == "localhost") {
		return domain, rest
	}
	return "", name
}

func validPath(repo string) bool {
	for part := range strings.SplitSeq(repo, "/") {
		if !rePath.MatchString(part) {
			return false
		}
	}
	return true
}
