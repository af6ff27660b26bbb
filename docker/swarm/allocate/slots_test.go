package allocate

import (
	"fmt"
	"testing"

	"github.com/moby/swarmkit/v2/api"
)

// TestSlots: tasks that come at once get addresses in the order of their slots, in whatever order they are asked for.
func TestSlots(t *testing.T) {
	for _, modern := range []bool{false, true} {
		a := made(t, modern)
		net := overlay("n", &api.IPAMConfig{Subnet: "10.0.0.0/24"})
		a.must(t, net)
		task := func(slot uint64) *api.Task {
			t.Helper()
			x := &api.Task{ID: fmt.Sprint(slot), ServiceID: "s", Slot: slot, Networks: []*api.NetworkAttachment{{Network: net}}}
			if err := a.AllocateTask(x); err != nil {
				t.Fatal(err)
			}
			return x
		}
		tasks := map[uint64]*api.Task{}
		for _, slot := range []uint64{3, 1, 4, 2, 7, 6, 5} {
			tasks[slot] = task(slot)
		}
		for slot, x := range tasks {
			if got, want := x.Networks[0].Addresses[0], fmt.Sprintf("10.0.0.%d/24", 1+slot); got != want {
				t.Errorf("modern %v: slot %d has %s; want %s", modern, slot, got, want)
			}
			if !a.IsTaskAllocated(x) {
				t.Errorf("slot %d is not allocated", slot)
			}
		}
		if got := task(2).Networks[0].Addresses[0]; got != "10.0.0.9/24" {
			t.Errorf("the successor of a task in slot 2 has %s; want the next free address", got)
		}
		if len(a.reserved) != 0 {
			t.Errorf("kept: %v", a.reserved)
		}
	}
}

// TestSlotsGone: what is kept for tasks that never come is free once their service goes; a task that has its address since before
// gets it again, and nothing is kept for others.
func TestSlotsGone(t *testing.T) {
	a := made(t, false)
	net := overlay("n", &api.IPAMConfig{Subnet: "10.0.0.0/29"})
	a.must(t, net)
	ask := func(service string, slot uint64, addresses ...string) (string, error) {
		x := &api.Task{ID: service, ServiceID: service, Slot: slot, Networks: []*api.NetworkAttachment{{Network: net, Addresses: addresses}}}
		err := a.AllocateTask(x)
		if err != nil {
			return "", err
		}
		return x.Networks[0].Addresses[0], nil
	}
	if got, err := ask("old", 4, "10.0.0.6/29"); err != nil || got != "10.0.0.6/29" || len(a.reserved) != 0 {
		t.Errorf("AllocateTask = %s, %v; kept %v", got, err, a.reserved)
	}
	if got, err := ask("new", 3); err != nil || got != "10.0.0.4/29" || len(a.reserved) != 2 {
		t.Errorf("AllocateTask = %s, %v; kept %v", got, err, a.reserved)
	}
	if err := a.DeallocateService(&api.Service{ID: "new"}); err != nil {
		t.Fatal(err)
	}
	if got, err := ask("other", 1); err != nil || got != "10.0.0.2/29" {
		t.Errorf("AllocateTask = %s, %v; want the first address", got, err)
	}
	if _, err := ask("big", 100); err == nil {
		t.Error("an address that is not there was given")
	}
}
