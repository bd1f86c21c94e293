//go:build !unix

package bench

// processCPU gives nothing where getrusage does not exist; the report leaves the
// figure out.
func processCPU() cpuTime { return cpuTime{} }

// checkFiles has nothing to check where there is no limit on open files.
func checkFiles(int) error { return nil }
