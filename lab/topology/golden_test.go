package topology_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/netsim-lab/netsim/lab/topology"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata/broken")

// TestBrokenFilesGiveTheirMessages parses every file of testdata/broken and
// compares the whole error text. Paths are printed relative to the module.
func TestBrokenFilesGiveTheirMessages(t *testing.T) {
	root := filepath.Join("..", "..")
	files, err := filepath.Glob(filepath.Join(root, "testdata", "broken", "*.yaml"))
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d broken files, %v; want at least 20", len(files), err)
	}
	t.Chdir(root)
	for _, file := range files {
		file, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) { checkGolden(t, filepath.ToSlash(file)) })
	}
}

func checkGolden(t *testing.T, file string) {
	_, err := topology.Load(file)
	var list topology.Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("Load = %v; want topology.Errors", err)
	}
	golden := file[:len(file)-len(".yaml")] + ".golden"
	got := err.Error() + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("Load(%s) says\n%s\nwant\n%s", file, got, want)
	}
}
