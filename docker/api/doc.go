// Package api serves the Docker Engine HTTP API over a docker/engine: what the docker command, and any other client,
// speaks. It serves versions 1.24 to 1.50 of it with the differences between them; an engine of an older Release announces
// less, and refuses what is newer. Docker's wire types live here and nowhere above or below.
//
// A Server is an http.Handler. Its Run serves a Unix socket and connections that Dial makes in memory. Nothing on the
// API reaches the machine that the lab runs on: the engine refuses what would.
package api
