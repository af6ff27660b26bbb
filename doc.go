// Package netsim holds no code of its own: it is where the tests of the project's shape live. The command is in
// cmd/netsim; as a library, start at package lab for whole labs, netns for namespaces, l2switch for switches.
package netsim
