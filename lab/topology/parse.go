package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// DefaultImages are the images that a lab can use when Options names none.
var DefaultImages = []string{"redis", "chrch/web", "chrch/admin", "nginx", "busybox", "ubuntu", "alpine", "nicolaka/netshoot", "ehazlett/docker-demo", "docker/ucp-hrm", "docker/ucp-interlock-proxy"}

// Options are what a topology file is checked against. The zero value works.
type Options struct {
	Images []string // names without tags; nil: DefaultImages
}

// Load reads and checks the file at path. Mistakes in it come as Errors.
func Load(path string) (*Spec, error) { return Options{}.Load(path) }

// Parse checks src, the text of a topology file, whose name for messages is
// file. Mistakes come all at once, as Errors.
func Parse(file string, src []byte) (*Spec, error) { return Options{}.Parse(file, src) }

// Load is Load with options.
func (o Options) Load(path string) (*Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load topology: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("load topology %s: %w", path, err)
	}
	return o.Parse(path, src)
}

// Parse is Parse with options.
func (o Options) Parse(file string, src []byte) (*Spec, error) {
	if o.Images == nil {
		o.Images = DefaultImages
	}
	r := &reader{file: file, images: o.Images}
	root := r.document(src)
	if root == nil || !r.measure(root) {
		return nil, r.errs.sorted()
	}
	spec := r.spec(root)
	newChecker(r, spec).all()
	if len(r.errs) > 0 {
		return nil, r.errs.sorted()
	}
	return spec, nil
}

// document returns the root value of the one YAML document in src, or nil
// after reporting why there is none.
func (r *reader) document(src []byte) *yaml.Node {
	start := Pos{File: r.file, Line: 1, Col: 1}
	if len(src) > maxBytes {
		r.failAt(start, "the file is larger than %d bytes", maxBytes)
		return nil
	}
	first, second, err := decode(src)
	switch {
	case errors.Is(err, io.EOF) || err == nil && (len(first.Content) == 0 || isNull(first.Content[0])):
		r.failAt(start, "the file is empty; it must start with \"netsim: 1\"")
	case err != nil:
		r.syntaxError(src, err)
	case second != nil:
		r.fail(second, "a topology file holds one document; a second one starts here")
	default:
		return first.Content[0]
	}
	return nil
}

// decode reads the first document and, if there is one, the second. A panic
// of the YAML parser on hostile input comes back as an error.
func decode(src []byte) (first, second *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not readable as YAML: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src))
	first, second = new(yaml.Node), new(yaml.Node)
	if err := dec.Decode(first); err != nil {
		return nil, nil, err
	}
	if err := dec.Decode(second); errors.Is(err, io.EOF) {
		return first, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	return first, second, nil
}

var (
	yamlLine      = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]+): )?`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced$`)

	// parserError are the errors for which the YAML parser gives the line
	// before the one it means.
	parserError = regexp.MustCompile(`^(did not find expected (<|node content|'-' indicator|key|',' or)|found (undefined tag handle|duplicate %|incompatible YAML))`)
)

// syntaxError reports an error of the YAML parser, which knows a line only.
func (r *reader) syntaxError(src []byte, err error) {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	text = text[len(m[0]):]
	line, _ := strconv.Atoi(m[1])
	if line > 0 && parserError.MatchString(text) {
		line++
	}
	p := Pos{File: r.file, Line: max(line, 1), Col: 1}
	if a := unknownAnchor.FindStringSubmatch(text); a != nil {
		before, _, _ := bytes.Cut(src, []byte("*"+a[1]))
		p.Line += bytes.Count(before, []byte("\n"))
		p.Col += utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	} else if lines := bytes.SplitN(src, []byte("\n"), p.Line+1); p.Line <= len(lines) {
		l := lines[p.Line-1]
		p.Col += len(l) - len(bytes.TrimLeft(l, " \t"))
	}
	r.failAt(p, "the file is not valid YAML: %s", text)
}

// spec reads the whole document.
func (r *reader) spec(n *yaml.Node) *Spec {
	base := filepath.Base(r.file)
	s := &Spec{
		Pos: r.pos(n), Compat: CompatGuide, Seed: 1,
		Name: strings.TrimSuffix(base, filepath.Ext(base)),
	}
	r.object(n, "a topology", fields{
		"netsim":      r.version,
		"name":        r.labName(&s.Name),
		"description": r.text(&s.Description, "description"),
		"guide":       r.text(&s.Guide, "guide"),
		"compat":      choice(r, &s.Compat, "compat", CompatGuide, Compat1703, CompatModern),
		"seed":        r.seed(&s.Seed),
		"fabric":      func(n *yaml.Node) { r.fabric(n, &s.Fabric) },
		"swarm":       func(n *yaml.Node) { s.Swarm = r.swarm(n) },
		"plugins":     func(n *yaml.Node) { s.Plugins = r.plugins(n) },
		"networks":    func(n *yaml.Node) { s.Networks = r.networks(n) },
		"services":    func(n *yaml.Node) { s.Services = r.services(n) },
		"containers":  func(n *yaml.Node) { s.Containers = r.containers(n) },
		"expose":      func(n *yaml.Node) { s.Expose = r.exposes(n) },
		"needs":       r.needs(&s.Needs),
		"steps":       func(n *yaml.Node) { s.Steps = r.steps(n) },
	}, "netsim: 1", "fabric")
	return s
}

// version reads the format's number.
func (r *reader) version(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || n.Value != "1" {
		r.fail(n, "netsim must be 1, the version of this file format, not %s", kindOf(n))
	}
}

func (r *reader) labName(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if _, ok := r.scalar(n, "name"); ok {
			*to = r.name(n, "lab")
		}
	}
}

func (r *reader) seed(to *uint64) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "seed")
		if !ok {
			return
		}
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			r.fail(n, "seed must be a whole number that is not negative, not %q", clip(s))
			return
		}
		*to = v
	}
}
