// Package dockercli is Docker's own command line, github.com/docker/cli, as a command of a simulated host: it runs in the
// process of the lab and talks to that host's engine over connections that a Dialer opens.
//
// The library was written for a program that runs once. What would reach the real machine or be shared by two calls is
// kept apart here: each call has streams, a configuration, a client and a tree of commands of its own; no file of the
// real machine, no ~/.docker, plug-in, credential helper, signal, or exporter of telemetry is ever looked at, and the
// process never exits. Commands that could do nothing else, as docker build or login, are refused.
package dockercli
