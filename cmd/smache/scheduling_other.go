//go:build !linux

package main

// scheduleInBatches has nothing to set on this system.
func scheduleInBatches() error { return nil }
