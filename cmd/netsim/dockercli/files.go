package dockercli

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// stage lays a file of the host down where docker can read it, until the call ends. The standard input is its own.
func (s *session) stage(name string) (string, error) {
	if name == "" || name == "-" {
		return name, nil
	}
	text, err := s.call.ReadFile(name)
	if err != nil {
		return "", err
	}
	return s.layDown(name, text)
}

// stageEnv is stage of a file of environment variables. Those that have no value there have that of the shell, or are left
// out.
func (s *session) stageEnv(name string) (string, error) {
	if name == "" || name == "-" {
		return name, nil
	}
	text, err := s.call.ReadFile(name)
	if err != nil {
		return "", err
	}
	var all [][]byte
	for line := range bytes.Lines(text) {
		word := strings.TrimSpace(strings.TrimPrefix(string(line), "\ufeff"))
		if word == "" || word[0] == '#' || strings.ContainsAny(word, "= \t") {
			all = append(all, line)
		} else if value, ok := s.lookup(word); ok {
			all = append(all, []byte(word+"="+value+"\n"))
		}
	}
	return s.layDown(name, bytes.Join(all, nil))
}

func (s *session) layDown(name string, text []byte) (string, error) {
	var err error
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "netsim-docker-"); err != nil {
			return "", fmt.Errorf("lay down %s for docker: %w", name, err)
		}
	}
	all, err := os.ReadDir(s.dir)
	if err != nil {
		return "", fmt.Errorf("lay down %s for docker: %w", name, err)
	}
	file := filepath.Join(s.dir, strconv.Itoa(len(all))+"-"+filepath.Base(filepath.FromSlash(name)))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", fmt.Errorf("lay down %s for docker: %w", name, err)
	}
	return file, nil
}

// lookup returns an environment variable of the shell.
func (s *session) lookup(name string) (value string, ok bool) {
	for _, known := range s.call.Env {
		if k, _, _ := strings.Cut(known, "="); k == name {
			return s.call.Getenv(name), true
		}
	}
	return "", false
}

// fileValue is a file of the host that docker reads.
type fileValue struct {
	pflag.Value
	stage func(name string) (string, error)
}

// Set implements pflag.Value.
func (v fileValue) Set(name string) error {
	file, err := v.stage(name)
	if err != nil {
		return err
	}
	return v.Value.Set(file)
}

// envValue is an environment variable; one that has no value has that of the shell, or is left out.
type envValue struct {
	pflag.Value
	session *session
}

// Set implements pflag.Value.
func (v envValue) Set(kv string) error {
	if kv == "" || strings.Contains(kv, "=") {
		return v.Value.Set(kv)
	}
	if value, ok := v.session.lookup(kv); ok {
		return v.Value.Set(kv + "=" + value)
	}
	return nil
}

// completeEnv has the shell's variables offered for a flag. Docker's own are those of the process.
func (s *session) completeEnv(f *pflag.Flag) {
	flagCompletionsMu.Lock()
	defer flagCompletionsMu.Unlock()
	if flagCompletions[f] == nil {
		return
	}
	flagCompletions[f] = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, kv := range s.call.Env {
			k, _, _ := strings.Cut(kv, "=")
			names = append(names, k)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// seccompValue is a security option, which may name a file.
type seccompValue struct {
	pflag.Value
	session *session
}

// Set implements pflag.Value.
func (v seccompValue) Set(opt string) error {
	for _, prefix := range []string{"seccomp=", "seccomp:"} {
		name, ok := strings.CutPrefix(opt, prefix)
		if !ok || name == "" || name == "unconfined" || name == "builtin" {
			continue
		}
		file, err := v.session.stage(name)
		if err != nil {
			return fmt.Errorf("opening seccomp profile (%s) failed: %w", name, err)
		}
		opt = "seccomp=" + file
	}
	return v.Value.Set(opt)
}

// caValue is a certificate authority, which may name a file.
type caValue struct {
	pflag.Value
	session *session
}

// Set implements pflag.Value.
func (v caValue) Set(spec string) error {
	fields, err := csv.NewReader(strings.NewReader(spec)).Read()
	if err != nil {
		return v.Value.Set(spec) // docker tells what is wrong with it
	}
	for i, field := range fields {
		key, name, _ := strings.Cut(field, "=")
		if !strings.EqualFold(key, "cacert") {
			continue
		}
		file, err := v.session.stage(name)
		if err != nil {
			return fmt.Errorf("unable to read CA cert for external CA: %w", err)
		}
		fields[i] = key + "=" + file
	}
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	if err := w.Write(fields); err != nil {
		return err
	}
	w.Flush()
	return v.Value.Set(strings.TrimSuffix(line.String(), "\n"))
}
