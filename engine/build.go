package engine

import (
	"runtime"
	"runtime/debug"
)

// Build says what binary this is.
type Build struct {
	// Version is the release, or "devel".
	Version string `json:"version"`
	// Revision is the commit it was built from, empty if the Go tool did not
	// record it; Modified says that the files had been changed since.
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	// Time is the commit's, in RFC 3339.
	Time string `json:"time"`
	// Go is the version of the Go release; Platform is system/processor.
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild gives what the Go tool recorded in the binary. The release is that
// of the linker flag, if it was given, else the module's version.
func ReadBuild(release string) Build {
	b := Build{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.time":
				b.Time = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
		if b.Version == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}
