package fabric

import (
	"errors"
	"testing"
)

// goingEnd is a device that does not take the first frame, and is gone with the second.
type goingEnd struct {
	tapEnd
	wrote int
}

func (e *goingEnd) write(*Frame) (lost int, why DropReason, err error) {
	if e.wrote++; e.wrote == 1 {
		return 1, DropMTU, nil
	}
	return 0, 0, errors.New("gone")
}

// A device that goes in the middle of a batch of which a frame was dropped before: all are counted, none twice.
func TestTAPGoesAfterDrop(t *testing.T) {
	d := &TAPDevice{end: &goingEnd{}, queue: NewQueue()}
	batch := make([]*Frame, 3)
	NewBatch(batch)
	if err := d.writeBatch(batch); err == nil || d.Dropped(DropMTU) != 1 || d.Dropped(DropClosed) != 2 {
		t.Errorf("writeBatch = %v, dropped %v; want an error, 1 mtu, 2 closed", err, d.Read().Drops)
	}
}
