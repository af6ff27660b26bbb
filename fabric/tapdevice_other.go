//go:build !linux

package fabric

import (
	"fmt"
	"runtime"

	"github.com/netsim-lab/netsim/fabric/kernel"
)

func openTAP(string, bool) (tapEnd, string, error) {
	return nil, "", fmt.Errorf("%w: it takes Linux, and this is %s", kernel.ErrUnable, runtime.GOOS)
}
