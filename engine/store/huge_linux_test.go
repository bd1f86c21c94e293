package store

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestHugePages: the arena's memory is marked for huge pages. In a process of its own,
// for fastcache keeps memory that another test's arena has had.
func TestHugePages(t *testing.T) {
	// Where they are switched off, memory is marked all the same.
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); os.IsNotExist(err) {
		t.Skip("this kernel was built without transparent huge pages, and refuses the mark")
	}
	const child = "SMACHE_TEST_HUGE_PAGES"
	if os.Getenv(child) == "" {
		c := exec.Command(os.Args[0], "-test.run", "^TestHugePages$")
		c.Env = append(os.Environ(), child+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if marked(t) != 0 {
		t.Fatal("something is marked before there is an arena")
	}
	s, err := New(Config{ArenaBytes: 4 * ArenaUnit})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if n := marked(t); n < 4*ArenaUnit {
		t.Errorf("%d bytes are marked", n)
	}
}

// marked gives how many bytes of the process's mappings are marked for huge pages.
func marked(t *testing.T) (n int) {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for line := range bytes.Lines(maps) {
		switch f := strings.Fields(string(line)); f[0] {
		case "Size:":
			size = 0
			for _, digit := range f[1] {
				size = size*10 + int(digit-'0')
			}
		case "VmFlags:":
			for _, flag := range f[1:] {
				if flag == "hg" {
					n += size << 10
				}
			}
		}
	}
	return n
}
