package bench

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test program is the second process of the measurements that it makes.
func TestMain(m *testing.M) {
	if status, child := Child(); child {
		os.Exit(status)
	}
	goleak.VerifyTestMain(m)
}
