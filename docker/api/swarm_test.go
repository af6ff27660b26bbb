package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/identity"
	"github.com/moby/swarmkit/v2/manager/state/store"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// startSwarm makes the engine the first manager of a swarm, and returns its node id.
func (r *rig) startSwarm(body string) (id string) {
	r.t.Helper()
	status, text := r.do(http.MethodPost, "/swarm/init", body)
	if status != http.StatusOK || json.Unmarshal([]byte(text), &id) != nil {
		r.t.Fatalf("POST /swarm/init = %d %s", status, text)
	}
	return id
}

const initBody = `{"ListenAddr":"0.0.0.0:2377"}`

// A host with two addresses has to be told which one to advertise (W13).
func TestSwarmAddress(t *testing.T) {
	r, f := newSwarmRig(t)
	for _, row := range []struct{ name, body, text, advertise string }{
		{"its only address", initBody, "", fakeAddr + ":2377"},
		{"an interface", `{"ListenAddr":"eth0","AdvertiseAddr":"eth0:2399"}`, "", fakeAddr + ":2399"},
		{"the listener's port", `{"ListenAddr":"0.0.0.0:7777","AdvertiseAddr":"eth0"}`, "", fakeAddr + ":7777"},
		{"an address that is not the host's", `{"ListenAddr":"0.0.0.0","AdvertiseAddr":"192.0.2.1"}`, "", "192.0.2.1:2377"},
		{"no listener", `{}`, `invalid ListenAddr "": invalid empty address`, ""},
		{"a listener that is none", `{"ListenAddr":"nosuch:1"}`, "listen address must be an IP address or network interface (with optional port number)", ""},
		{"the address of nobody", `{"ListenAddr":"0.0.0.0","AdvertiseAddr":"0.0.0.0"}`,
			"advertise address must be a non-zero IP address or network interface (with optional port number)", ""},
		{"a bad data path", `{"ListenAddr":"0.0.0.0","DataPathAddr":"x"}`,
			"data path address must be a non-zero IP address or network interface (without a port number)", ""},
		{"a subnet size out of range", `{"ListenAddr":"0.0.0.0","DefaultAddrPool":["10.0.0.0/8"],"SubnetSize":30}`, "subnet size is out of range: 30", ""},
		{"a pool that is none", `{"ListenAddr":"0.0.0.0","DefaultAddrPool":["x"],"SubnetSize":24}`, "invalid base pool x: invalid CIDR address: x", ""},
		{"a name", `{"ListenAddr":"0.0.0.0","Spec":{"Name":"mine"}}`, `swarm spec must be named "default"`, ""},
	} {
		status, text := r.do(http.MethodPost, "/swarm/init", row.body)
		if row.text != "" {
			if status != http.StatusBadRequest || text != errorText(row.text) {
				t.Errorf("%s: %d %s; want 400 %s", row.name, status, text, errorText(row.text))
			}
			continue
		}
		if got := f.asked.init.Advertise.String(); status != http.StatusOK || got != row.advertise {
			t.Errorf("%s: %d %s, advertises %s; want %s", row.name, status, text, got, row.advertise)
		}
		if status, text := r.do(http.MethodPost, "/swarm/leave?force=1", ""); status != http.StatusOK {
			t.Fatalf("leave: %d %s", status, text)
		}
	}
	second, err := r.engine.Host().AddInterface(netns.InterfaceConfig{Name: "eth1", Port: fabric.NewLink("host1:eth1", "nowhere").A()})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.AddAddr(netip.MustParsePrefix("10.9.9.9/24")); err != nil {
		t.Fatal(err)
	}
	want := "could not choose an IP address to advertise since this system has multiple addresses on different interfaces " +
		"(172.31.34.123 on eth0 and 10.9.9.9 on eth1) - specify one with --advertise-addr"
	if status, text := r.do(http.MethodPost, "/swarm/init", initBody); status != http.StatusBadRequest || text != errorText(want) {
		t.Errorf("two addresses: %d %s; want %s", status, text, want)
	}
	if status, text := r.do(http.MethodPost, "/swarm/join", `{"ListenAddr":"0.0.0.0","RemoteAddrs":["10.9.9.1"],"JoinToken":"t"}`); status != http.StatusOK {
		t.Errorf("join: %d %s", status, text)
	}
	if f.asked.join.Remote != "10.9.9.1:2377" || f.asked.join.Advertise.IsValid() || f.asked.join.Token != "t" {
		t.Errorf("joined with %+v", f.asked.join)
	}
}

// A manager that leaves would leave too few behind (W8).
func TestSwarmLeaveManager(t *testing.T) {
	r, f := newSwarmRig(t)
	r.startSwarm(initBody)
	const begin = "You are attempting to leave the swarm on a node that is participating as a manager. "
	const end = "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. " +
		"Use `--force` to suppress this message."
	add := func(reach swarmapi.RaftMemberStatus_Reachability) {
		err := f.store.Update(func(tx store.Tx) error {
			n := fakeNode(identity.NewID(), identity.NewID(), "10.0.0.9", swarmapi.NodeRoleManager)
			n.ManagerStatus = &swarmapi.ManagerStatus{Reachability: reach, Addr: "10.0.0.9:2377"}
			return store.CreateNode(tx, n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	leave := func(want string) {
		t.Helper()
		if status, text := r.do(http.MethodPost, "/swarm/leave", ""); status != http.StatusServiceUnavailable || text != errorText(want) {
			t.Errorf("leave = %d %s; want 503 %s", status, text, errorText(want))
		}
	}
	leave(begin + "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ")
	add(swarmapi.RaftMemberStatus_REACHABLE)
	leave(begin + "Removing this node leaves 1 managers out of 2. Without a Raft quorum your swarm will be inaccessible. " + end)
	var info struct{ Swarm swarm.Info }
	if r.get("/info", &info); info.Swarm.Managers != 2 || len(info.Swarm.Warnings) != 1 {
		t.Errorf("info of two managers: %+v", info.Swarm)
	}
	add(swarmapi.RaftMemberStatus_UNREACHABLE)
	leave(begin + "Removing this node leaves 1 managers out of 3. Without a Raft quorum your swarm will be inaccessible. " + end)
	add(swarmapi.RaftMemberStatus_REACHABLE)
	add(swarmapi.RaftMemberStatus_REACHABLE)
	leave(begin + end)
	f.set(func(i *SwarmInfo) { i.Control = false })
	leave(begin + "Doing so may lose the consensus of your cluster. " + end)
	f.set(func(i *SwarmInfo) { i.State = SwarmLocked })
	leave("Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.")
	if status, text := r.do(http.MethodPost, "/swarm/unlock", `{"UnlockKey":"SWMKEY-1-no"}`); status != http.StatusBadRequest {
		t.Errorf("unlock with a key that is none: %d %s", status, text)
	}
	if status, text := r.do(http.MethodPost, "/swarm/unlock", `{"UnlockKey":"`+fakeKey+`"}`); status != http.StatusOK {
		t.Errorf("unlock: %d %s", status, text)
	}
}

// What has no code is unknown, as gRPC says, once.
func TestRPCError(t *testing.T) {
	for _, text := range []string{"no leader", "rpc error: code = Unknown desc = no leader"} {
		if got, want := rpcError(errors.New(text)).Error(), "rpc error: code = Unknown desc = no leader"; got != want {
			t.Errorf("rpcError(%q) = %q; want %q", text, got, want)
		}
	}
}

// What the managers refuse has the status of its kind.
func TestSwarmErrors(t *testing.T) {
	r, _ := newSwarmRig(t)
	r.startSwarm(initBody)
	if status, text := r.do(http.MethodPost, "/networks/create", `{"Name":"br1"}`); status != http.StatusCreated {
		t.Fatalf("br1: %d %s", status, text)
	}
	const web = `{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"}%s},"Mode":{"Replicated":{}}}`
	plain := fmt.Sprintf(web, "")
	if status, text := r.do(http.MethodPost, "/services/create", plain); status != http.StatusCreated {
		t.Fatalf("web: %d %s", status, text)
	}
	for _, row := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{http.MethodPost, "/services/create", plain, 409, "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists"},
		{http.MethodPost, "/services/create", fmt.Sprintf(web, `,"Networks":[{"Target":"br1"}]`), 403,
			"The network br1 cannot be used with services. Only networks scoped to the swarm can be used, such as those created with the overlay driver."},
		{http.MethodPost, "/services/create", `{"Name":"web2"}`, 400, "mismatched Runtime and *Spec fields"},
		{http.MethodPost, "/services/web/update?version=1", plain, 500, "rpc error: code = Unknown desc = update out of sequence"},
		{http.MethodPost, "/services/web/update?version=x", plain, 400, `invalid service version 'x': strconv.ParseUint: parsing "x": invalid syntax`},
		{http.MethodPost, "/services/web/update?version=1&registryAuthFrom=previous-spec", plain, 400, "service does not have a previous spec"},
		{http.MethodPost, "/services/web/update?version=1&registryAuthFrom=x", plain, 400, "unsupported registryAuthFrom value"},
		{http.MethodPost, "/services/web/update?version=1&rollback=x", plain, 500, "unrecognized rollback option x"},
		{http.MethodGet, "/services/nosuch", "", 404, "service nosuch not found"},
		{http.MethodGet, "/services/web?insertDefaults=x", "", 400, "invalid value for insertDefaults: x"},
		{http.MethodGet, "/tasks/nosuch", "", 404, "task nosuch not found"},
		{http.MethodGet, "/tasks?filters=%7B%22desired-state%22:%5B%22x%22%5D%7D", "", 400, "Invalid desired-state filter: 'x'"},
		{http.MethodGet, "/secrets/nosuch", "", 404, "secret nosuch not found"},
		{http.MethodGet, "/configs/nosuch", "", 404, "config nosuch not found"},
		{http.MethodDelete, "/nodes/nosuch", "", 404, "node nosuch not found"},
		{http.MethodGet, "/services/web/logs", "", 400, "Bad parameters: you must choose at least one stream"},
		{http.MethodGet, "/services/web/logs?stdout=1&tail=x", "", 400, `tail value must be a positive integer or "all"`},
		{http.MethodPost, "/swarm/update?version=1&rotateWorkerToken=x", `{}`, 400, "invalid value for rotateWorkerToken: x"},
		{http.MethodPost, "/swarm/update?version=99", `{"Name":"default"}`, 500, "rpc error: code = Unknown desc = update out of sequence"},
		{http.MethodPost, "/swarm/unlock", `{}`, 409, "swarm is not locked"},
	} {
		status, text := r.do(row.method, row.path, row.body)
		if status != row.status || text != errorText(row.text) {
			t.Errorf("%s %s = %d %s; want %d %s", row.method, row.path, status, text, row.status, errorText(row.text))
		}
	}
}

// What changes in the swarm is told on its managers.
func TestSwarmEvents(t *testing.T) {
	r, _ := newSwarmRig(t)
	resp := r.open(http.MethodGet, "/events", "")
	defer resp.Body.Close() //nolint:errcheck // it is only read
	id := r.startSwarm(initBody)
	if status, text := r.do(http.MethodPost, "/services/create", `{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"nginx"}}}`); status != http.StatusCreated {
		t.Fatalf("web: %d %s", status, text)
	}
	var s swarm.Service
	r.get("/services/web", &s)
	replicas := uint64(3)
	s.Spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &replicas}
	body, err := json.Marshal(s.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := r.do(http.MethodPost, fmt.Sprintf("/services/web/update?version=%d", s.Version.Index), string(body)); status != http.StatusOK {
		t.Fatalf("scale: %d %s", status, text)
	}
	var n swarm.Node
	r.get("/nodes/"+id, &n)
	n.Spec.Availability = swarm.NodeAvailabilityDrain
	if body, err = json.Marshal(n.Spec); err != nil {
		t.Fatal(err)
	}
	if status, text := r.do(http.MethodPost, fmt.Sprintf("/nodes/host1/update?version=%d", n.Version.Index), string(body)); status != http.StatusOK {
		t.Fatalf("drain: %d %s", status, text)
	}
	if status, text := r.do(http.MethodDelete, "/services/web", ""); status != http.StatusOK {
		t.Fatalf("rm: %d %s", status, text)
	}
	want := []string{
		"service create web", "service update web replicas.new=3 replicas.old=1", "node update host1 availability.new=drain availability.old=active", "service remove web",
	}
	for dec := json.NewDecoder(resp.Body); len(want) > 0; {
		var m events.Message
		if err := dec.Decode(&m); err != nil {
			t.Fatalf("still to come: %q: %v", want, err)
		}
		line := fmt.Sprintf("%s %s %s", m.Type, m.Action, m.Actor.Attributes["name"])
		var more []string
		for k, v := range m.Actor.Attributes {
			if k != "name" {
				more = append(more, k+"="+v)
			}
		}
		slices.Sort(more)
		if line = strings.Join(append([]string{line}, more...), " "); line == want[0] && m.Scope == "swarm" {
			want = want[1:]
		}
	}
}

// Networks of the swarm that are on no task's way here are listed all the same, once each.
func TestSwarmNetworks(t *testing.T) {
	r, _ := newSwarmRig(t)
	r.startSwarm(initBody)
	if status, text := r.do(http.MethodPost, "/networks/create", `{"Name":"o","Driver":"overlay"}`); status != http.StatusCreated {
		t.Fatalf("o: %d %s", status, text)
	}
	var all []network.Inspect
	r.get("/networks", &all)
	var names []string
	for _, n := range all {
		names = append(names, n.Name+"/"+n.Scope)
	}
	slices.Sort(names)
	if got, want := strings.Join(names, " "), "bridge/local host/local ingress/swarm none/local o/swarm"; got != want {
		t.Errorf("networks: %s; want %s", got, want)
	}
	for path, want := range map[string]int{"/networks/o": 200, "/networks/o?scope=swarm": 200, "/networks/o?scope=local": 404, "/networks/bridge?scope=swarm": 404} {
		if status, text := r.do(http.MethodGet, path, ""); status != want {
			t.Errorf("GET %s = %d %s; want %d", path, status, text, want)
		}
	}
}
