// Package topologies holds the labs that come with netsim, as topology files.
package topologies

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// FS holds every embedded topology file, NAME.yaml, at its root.
//
//go:embed *.yaml
var FS embed.FS

// Names returns the names of the embedded labs, without extension, sorted.
func Names() []string {
	files, _ := fs.Glob(FS, "*.yaml") // the pattern is valid, so there is no error
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f, ".yaml")
	}
	return names
}

// Open returns the text of the embedded lab of that name; an extension .yaml
// may be given or left out. An unknown name is an error that lists the names.
func Open(name string) ([]byte, error) {
	src, err := FS.ReadFile(strings.TrimSuffix(name, ".yaml") + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no embedded lab %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return src, nil
}
