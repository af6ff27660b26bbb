package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzSwarmRequest sends requests to a manager: each is answered, and an error has a text.
func FuzzSwarmRequest(f *testing.F) {
	r, _ := newSwarmRig(f)
	r.startSwarm(initBody)
	for _, seed := range [][3]string{
		{"POST", "/services/create", `{"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"nginx","Secrets":[null],"Mounts":[{}],"Healthcheck":{}}},"Mode":{"Global":{}}}`},
		{"POST", "/services/create", `{"TaskTemplate":{"ContainerSpec":{"Image":"x","Configs":[{"File":{}}],"Privileges":{"SELinuxContext":{}}},"Resources":{"Limits":{}},"Placement":{"Preferences":[{}]}},"EndpointSpec":{"Ports":[{"PublishMode":"host"}]}}`},
		{"POST", "/services/w/update?version=1", `{"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"x"},"Networks":[{"Target":"ingress"}]},"UpdateConfig":{"Order":"x"}}`},
		{"POST", "/swarm/update?version=9", `{"Name":"default","CAConfig":{"ExternalCAs":[null]},"TaskDefaults":{"LogDriver":{}}}`},
		{"POST", "/swarm/init", `{"ListenAddr":"[::]:0","ForceNewCluster":true}`},
		{"POST", "/nodes/host1/update?version=1", `{"Role":"manager","Availability":"drain"}`},
		{"POST", "/secrets/create", `{"Name":"s","Data":"eA==","Driver":{"Name":"x"},"Templating":{}}`},
		{"POST", "/configs/create", `{"Name":"c","Data":"eA=="}`},
		{"POST", "/networks/create", `{"Name":"o","Driver":"overlay","IPAM":{"Config":[{"Subnet":"10.1.0.0/24"}]},"Options":{"encrypted":""}}`},
		{"GET", "/tasks?filters=%7B%22service%22%3A%5B%22w%22%5D%7D", ""},
		{"GET", "/services?status=1&filters=%7B%22mode%22%3A%5B%22global%22%5D%7D", ""},
		{"GET", "/services/w/logs?stdout=1&tail=-1&details=1", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, "http://docker/"+strings.TrimPrefix(target, "/"), strings.NewReader(body))
		if err != nil {
			t.Skip("no request")
		}
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		r.s.ServeHTTP(rec, req)
		if rec.Code >= 400 && !strings.HasPrefix(rec.Body.String(), `{"message":"`) {
			t.Errorf("%s %q %q = %d %q", method, target, body, rec.Code, rec.Body)
		}
	})
}
