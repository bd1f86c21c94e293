package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestInstallScript installs below a directory, which leaves systemd alone: twice, the
// second time nothing is new; an upgrade replaces the binary and keeps the settings; a
// removal keeps them, and a purge does not.
func TestInstallScript(t *testing.T) {
	root := t.TempDir()
	run := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := execute(t, repository(t), "", []string{"DESTDIR=" + root}, "sh", append([]string{"scripts/install.sh"}, args...)...)
		if code != want {
			t.Fatalf("install.sh %q: exit %d, %s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	files := func() map[string]fs.FileInfo {
		t.Helper()
		all := map[string]fs.FileInfo{}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				all[strings.TrimPrefix(path, root)], err = d.Info()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}

	run(0, "install", binary)
	modes := map[string]fs.FileMode{
		"/usr/bin/smache": 0o755, "/etc/systemd/system/smache.service": 0o644, "/etc/systemd/system/smache.socket": 0o644,
		"/etc/smache/smache.env": 0o600, "/usr/share/man/man1/smache.1.gz": 0o644, "/usr/share/bash-completion/completions/smache": 0o644,
		"/usr/share/zsh/site-functions/_smache": 0o644, "/usr/share/fish/vendor_completions.d/smache.fish": 0o644,
	}
	installed := files()
	for name, mode := range modes {
		if is := installed[name]; is == nil || is.Mode() != mode || is.Size() == 0 {
			t.Errorf("%s is %v, want %v", name, is, mode)
		}
	}
	if len(installed) != len(modes) {
		t.Errorf("%d files are installed, want %d", len(installed), len(modes))
	}
	if said := run(0, "install", binary); said != "" {
		t.Errorf("installed once more: %s", said)
	}
	for name, is := range files() {
		if !os.SameFile(is, installed[name]) {
			t.Errorf("%s was replaced by the same", name)
		}
	}

	// An upgrade.
	settings := filepath.Join(root, "etc/smache/smache.env")
	if err := os.WriteFile(settings, []byte("SMACHE_QUEUE=100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(t.TempDir(), "smache")
	if err := os.WriteFile(newer, append(program, "newer"...), 0o755); err != nil {
		t.Fatal(err)
	}
	if said := run(0, "install", newer); said != "installed "+root+"/usr/bin/smache\n" {
		t.Errorf("an upgrade says %q", said)
	}
	if is, err := os.ReadFile(filepath.Join(root, "usr/bin/smache")); err != nil || !bytes.HasSuffix(is, []byte("newer")) {
		t.Errorf("the binary is the old one: %v", err)
	}
	if kept, err := os.ReadFile(settings); err != nil || string(kept) != "SMACHE_QUEUE=100\n" {
		t.Errorf("the settings are %q, %v", kept, err)
	}

	// Memory: the two figures of the manual.
	run(0, "memory", "4GiB")
	drop, err := os.ReadFile(filepath.Join(root, "etc/systemd/system/smache.service.d/memory.conf"))
	if err != nil || directive(t, string(drop), "Environment") != "SMACHE_MEMORY=4GiB" || directive(t, string(drop), "MemoryMax") != strconv.Itoa(5184<<20) {
		t.Errorf("%s, %v", drop, err)
	}
	run(0, "memory", "2GB")
	drop, err = os.ReadFile(filepath.Join(root, "etc/systemd/system/smache.service.d/memory.conf"))
	if err != nil || directive(t, string(drop), "Environment") != "SMACHE_MEMORY=2GB" || directive(t, string(drop), "MemoryMax") != strconv.Itoa(2e9*5/4+64<<20) {
		t.Errorf("%s, %v", drop, err)
	}
	for _, size := range []string{"much", "512", "512KiB", "2GiBs", "GiB", "1.5GiB", "-1GiB", ""} {
		run(1, "memory", size)
	}
	if is, err := os.ReadFile(filepath.Join(root, "etc/systemd/system/smache.service.d/memory.conf")); err != nil || !bytes.Equal(is, drop) {
		t.Errorf("what is no size is written: %s, %v", is, err)
	}
	run(1, "install", filepath.Join(root, "nothing"))
	run(2, "instal")

	// What is missing in the kernel's settings, each with its reason.
	suggestion := regexp.MustCompile(`^(#.*|[a-z0-9_.]+ = .+|)$`)
	for line := range strings.Lines(run(0, "sysctl")) {
		if !suggestion.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("sysctl would not take %q", line)
		}
	}

	run(0, "remove")
	run(0, "remove")
	for name := range files() {
		if name != "/etc/smache/smache.env" && name != "/etc/systemd/system/smache.service.d/memory.conf" {
			t.Errorf("a removal leaves %s", name)
		}
	}
	run(0, "remove", "--purge")
	if left := files(); len(left) > 0 {
		t.Errorf("a purge leaves %v", left)
	}
}
