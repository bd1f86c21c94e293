package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/smache/smache/engine/store"
)

// MemoryPlan divides one figure, the memory that a node may take, among all that
// takes memory. All sizes are bytes.
type MemoryPlan struct {
	Total int64
	// Arena is for heads, keys and values; off the Go heap, taken and touched at
	// start.
	Arena int64
	// Index is for what the Go heap holds of each entry, at MaxEntries of them.
	Index      int64
	MaxEntries int
	// Connections is for the buffers and stacks of MaxConnections connections.
	Connections    int64
	MaxConnections int
	// Large is for request bodies and answers above 64 KiB, together.
	Large int64
	// Cluster is for what a node needs to be one of several; 0 for one alone.
	// Records are the part of it that keeps in mind what went; see the store.
	Cluster, Records int64
	// Runtime is for the program itself, and the garbage collector's slack.
	Runtime int64
	// GoLimit is what the Go runtime may take: GOMEMLIMIT, which is blind to the
	// arena.
	GoLimit int64
}

// The costs that the plan counts on; docs/BENCHMARKS.md says how they were
// measured.
const (
	entryIndexBytes = 55       // fastcache's map, just grown: 39, and the slot's set
	indexFixedBytes = 4 << 20  // the table of the slots and of the buckets
	connectionBytes = 43 << 10 // buffers, context and a goroutine, at most; none of it while it waits on its loop
	tlsBytes        = 40 << 10 // buffers and keys of TLS, at most, on top; 12 KiB idle
	programBytes    = 24 << 20 // text, runtime, stacks, pools
	foreignBytes    = 8 << 20  // of programBytes, what the Go runtime does not count
	clusterBytes    = 24 << 20 // slot tables and the state of each slot, links, batches that move
	collectorBytes  = 32 << 20 // what the garbage collector has to itself in a large heap, and a tenth
	typicalBytes    = 175      // key, value and head of the entries that arena and index are balanced for

	leastConnections = 256
	mostConnections  = 10_000
)

// ErrMemory says that a node cannot have the memory it was given.
var ErrMemory = errors.New("engine: not enough memory")

// logBytes is the most that the buckets' logs can take, for an arena of this
// size: 16 KiB for each chunk of 64 KiB that is full of the shortest pairs, and
// a chunk's more for each bucket of each writer. Garbage counts, so the number of
// entries says nothing.
func logBytes(arena int64, writers int) int64 {
	if writers == 0 {
		writers = store.DefaultWriters(arena)
	}
	return (arena + min(int64(writers)*store.ArenaUnit, arena)) / 4
}

// PlanMemory divides total. cluster says that the node is one of several, writers how
// many writers its store has, 0 for the store's default. maxConnections and large may be zero, and are then derived: a sixth of the
// memory for connections, at most 10,000 of them, and an eighth for large bodies,
// at most 64 MiB. available, if above zero, is what can be had; a total above it is
// refused before anything is touched.
func PlanMemory(total int64, cluster bool, writers, maxConnections int, large, available int64) (MemoryPlan, error) {
	return planMemory(total, cluster, 0, writers, connectionBytes, maxConnections, large, available)
}

// planMemory is PlanMemory with what a connection costs, and with what the outbox of one
// peer may take above the default. A peer that reads too slowly is rare: no plan has room
// for several at once, nor would it help to make all the others' values smaller for them.
func planMemory(total int64, cluster bool, outbox int64, writers int, perConnection int64, maxConnections int, large, available int64) (MemoryPlan, error) {
	if available > 0 && total > available {
		return MemoryPlan{}, fmt.Errorf("%w: %s wanted and %s left; lower --memory",
			ErrMemory, FormatBytes(total), FormatBytes(available))
	}
	p := MemoryPlan{Total: total, MaxConnections: maxConnections, Large: large}
	if cluster {
		p.Records = max(total/128, 1<<20)
		p.Cluster = clusterBytes + outbox + p.Records
	}
	if p.MaxConnections == 0 {
		p.MaxConnections = int(min(max(total/6/perConnection, leastConnections), mostConnections))
	}
	if p.Large == 0 {
		p.Large = min(max(total/8, 8<<20), 64<<20)
	}
	p.Connections = int64(p.MaxConnections) * perConnection
	rest := total - programBytes - p.Cluster - p.Connections - p.Large - indexFixedBytes
	// A fifth of what the arena leaves is the garbage collector's, so that it does not
	// run all the time when everything is full. A large heap needs less: cmd/smache lets
	// a sixteenth of what lives gather, at least 32 MiB.
	indexed := func(arena int64) int64 {
		left := rest - arena - logBytes(arena, writers)
		return (left - min(left/5, collectorBytes+left/10)) / entryIndexBytes
	}
	// 58 parts in a hundred for the arena and the rest for the index balances
	// the two for entries of 100 to 200 bytes of key and value. The arena has whole
	// units: of the two sizes next to that the one in which more such entries stay, for in
	// a small node one unit too many leaves hardly anything for the index.
	stay := func(arena int64) int64 { return min(indexed(arena), arena*7/10/typicalBytes) }
	p.Arena = max(rest*58/100/store.ArenaUnit*store.ArenaUnit, store.ArenaUnit)
	if larger := p.Arena + store.ArenaUnit; stay(larger) > stay(p.Arena) {
		p.Arena = larger
	}
	entries := indexed(p.Arena)
	if entries < 10_000 {
		least := p.Connections + p.Large + p.Cluster + programBytes + indexFixedBytes + store.ArenaUnit + logBytes(store.ArenaUnit, writers) + 2<<20
		return MemoryPlan{}, fmt.Errorf("%w: %s, of which %s go to %d connections and %s to large bodies; "+
			"raise --memory to %s or more, or lower --max-connections or --large-budget",
			ErrMemory, FormatBytes(total), FormatBytes(p.Connections), p.MaxConnections, FormatBytes(p.Large), FormatBytes(least))
	}
	p.MaxEntries = int(entries)
	p.Index = entries*entryIndexBytes + logBytes(p.Arena, writers) + indexFixedBytes
	p.Runtime = total - p.Arena - p.Index - p.Connections - p.Large - p.Cluster
	p.GoLimit = total - p.Arena - foreignBytes
	return p, nil
}

// FormatBytes writes a size the way flags take it: with the largest binary unit
// that leaves a short number.
func FormatBytes(n int64) string {
	units := []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}}
	for _, u := range units {
		if n >= u.size {
			v := strconv.FormatFloat(float64(n)/float64(u.size), 'f', 1, 64)
			return strings.TrimSuffix(v, ".0") + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// AvailableMemory gives the memory that this process can still take, as far as
// the machine and the control groups around it say, and who says so.
func AvailableMemory() (bytes int64, source string, err error) {
	return availableMemory(os.DirFS("/"))
}

func availableMemory(root fs.FS) (bytes int64, source string, err error) {
	bytes, err = memAvailable(root)
	if err != nil {
		return 0, "", fmt.Errorf("engine: available memory: %w", err)
	}
	source = "the machine"
	if left, group := cgroupLeft(root); left < bytes {
		bytes, source = left, "the control group "+group
	}
	return bytes, source, nil
}

func memAvailable(root fs.FS) (int64, error) {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no MemAvailable in /proc/meminfo")
}

// cgroupLeft gives what the tightest of the control groups around this process
// leaves, of version 1 or 2. Pages of files that it can give back count as left.
func cgroupLeft(root fs.FS) (left int64, group string) {
	left = math.MaxInt64
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return left, ""
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		var mount, limitFile, usedFile, inactive string
		switch {
		case parts[0] == "0" && parts[1] == "":
			mount, limitFile, usedFile, inactive = "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, limitFile, usedFile, inactive = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
		default:
			continue
		}
		// Inside a container the path may not be visible below the mount: the
		// loop then ends at the mount itself, which is the container's group.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			at := path.Join(mount, dir)
			limit, ok1 := readInt(root, path.Join(at, limitFile))
			used, ok2 := readInt(root, path.Join(at, usedFile))
			if ok1 && ok2 {
				free := limit - used + statValue(root, path.Join(at, "memory.stat"), inactive)
				if free < left {
					left, group = max(free, 0), dir
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return left, group
}

// readInt reads a file that holds one number; "max", and anything else, is none.
func readInt(root fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

func statValue(root fs.FS, name, field string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}
