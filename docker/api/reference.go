package api

import (
	"fmt"
	"path"
	"strings"

	"github.com/docker/go-units"

	catalog "github.com/netsim-lab/netsim/docker/image"
)

// matchReference tells whether a pattern as nginx, ngin*:1.* or library/nginx names one of the tags of an image.
func matchReference(pattern string, tags []string) bool {
	for _, tag := range tags {
		ref, err := catalog.ParseReference(tag)
		if err != nil {
			continue
		}
		for _, text := range []string{tag, ref.Name} {
			if ok, err := path.Match(pattern, text); err == nil && ok {
				return true
			}
		}
		if want, err := catalog.ParseReference(pattern); err == nil && want.Name == ref.Name {
			_, after, hasTag := strings.Cut(pattern[strings.LastIndexByte(pattern, '/')+1:], ":")
			if !hasTag || after == ref.Tag {
				return true
			}
		}
	}
	return false
}

// barWidth is how many signs a bar of Docker's has.
const barWidth = 50

// progressBar is the bar that docker pull of old clients prints: the new ones make their own.
func progressBar(current, total int64) string {
	done := int(float64(min(current, total)) / float64(total) * barWidth)
	head := ""
	if done < barWidth {
		head = ">"
	}
	return fmt.Sprintf("[%s%s%s] %8v/%v", strings.Repeat("=", done), head, strings.Repeat(" ", barWidth-done-len(head)),
		units.HumanSize(float64(current)), units.HumanSize(float64(total)))
}
