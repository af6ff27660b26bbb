# What a developer types. Everything works with Go alone; bench compares with the kernel where it may.
GO      ?= go
LAB     ?= topologies/pets-overlay.yaml
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help build run test race check fuzz bench

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/netsim, one static binary, and bin/netsim-virtual, the same for run --virtual
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/netsim ./cmd/netsim
	CGO_ENABLED=0 $(GO) build -trimpath -tags faketime -ldflags=-checklinkname=0 -o bin/netsim-virtual ./cmd/netsim

run: ## bring a lab up and play its steps: make run LAB=topologies/pets-bridge.yaml
	$(GO) run ./cmd/netsim run $(LAB)

test: ## all tests
	$(GO) test ./...

race: ## all tests under the race detector
	$(GO) test -race ./...

check: ## gofmt, vet, staticcheck, the layers test, tests, race
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./...
	$(GO) test -race ./...

fuzz: ## every fuzz target for FUZZTIME (10s)
	./.ci/fuzz $(FUZZTIME)

bench: build ## throughput, start-up and memory, with ratios to the kernel where it may (root, iproute2, iperf3)
	./bin/netsim bench
