//go:build !linux

package store

// hugePages does nothing here.
type hugePages struct{}

func beginHuge(int64) *hugePages { return nil }

func (*hugePages) advise() {}
