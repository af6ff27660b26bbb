package api

// execTable has the commands that were made by docker exec.
type execTable struct{}
