// Package shell is the command line inside a host or container: a POSIX shell and the network tools that people type into
// it, as Go functions over the namespace of a System. No program of the real machine is ever run and no file of it is
// touched: commands are looked up in a table, files live in a tree in memory that belongs to the System, and sockets are
// those of the namespace.
//
// Tools print what the real ones print, and exit with their statuses. Which of them there are depends on the System's
// Flavour: busybox has its applets, ubuntu lacks ping, ip and curl until they are installed with apt-get, full has all.
//
// Everything a command line started has ended when Run returns: background commands that nobody waited for are killed,
// as a container's are when its first process ends.
package shell
