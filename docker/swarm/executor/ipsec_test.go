package executor

import (
	"reflect"
	"testing"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// Of three keys the middle one seals, and tags are times (C12, X3); keys of gossip are not among them.
func TestSealKeys(t *testing.T) {
	got, err := sealKeys(keys(7, 5, 6))
	value := func(b byte) (v [16]byte) {
		for i := range v {
			v[i] = b
		}
		return v
	}
	want := []cnm.EncryptionKey{{Tag: 6, Value: value(6)}, {Tag: 5, Value: value(5)}, {Tag: 7, Value: value(7)}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("sealKeys = %v, %v; want %v", got, err, want)
	}
	if _, err := sealKeys([]*swarmapi.EncryptionKey{{Subsystem: ipsecSubsystem, Key: []byte{1}}}); err == nil {
		t.Error("a key of one byte was taken")
	}
}

// A node of a swarm has the keys of encrypted overlays, and each rotation of them.
func TestEncryptionKeysReachTheEngine(t *testing.T) {
	r := newRig(t, 1, true)
	ctl := r.hosts[0].eng.Controller()
	r.eventually("the engine has the keys", func() bool { return ctl.ESP() != nil && ctl.ESP().HasKeys() })
	r.must(r.hosts[0].SetNetworkBootstrapKeys(keys(2, 3, 4)))
	if got := r.hosts[0].sealing[0].Tag; got != 3 {
		t.Errorf("after a rotation key %d seals; want 3", got)
	}
}
