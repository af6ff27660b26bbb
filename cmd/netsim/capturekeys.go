package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/netsim-lab/netsim/lab"
)

// writeKeys writes the keys of encrypted overlays beside a capture, as the files of a configuration of Wireshark's, and says on
// stderr how they are used. pcapng itself has a block for secrets, but none of its kinds is for ESP.
func writeKeys(stderr io.Writer, file string, keys []lab.ESPKey) error {
	if len(keys) == 0 {
		fmt.Fprintf(stderr, "no keys: no two hosts of the lab have had an encrypted overlay in common\n") //nolint:errcheck // there is nobody else to tell
		return nil
	}
	dir := file + ".keys"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	var table strings.Builder
	table.WriteString("# The keys of encrypted overlays, which sealed the packets of " + filepath.Base(file) + ".\n")
	for _, k := range keys {
		table.WriteString(k.UAT() + "\n")
	}
	for name, text := range map[string]string{"esp_sa": table.String(), "preferences": "esp.enable_encryption_decode: TRUE\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write keys: %w", err)
		}
	}
	fmt.Fprintf(stderr, "to see what the ESP packets hold: WIRESHARK_CONFIG_DIR=%s tshark -r %s\n", dir, file) //nolint:errcheck // likewise
	return nil
}
