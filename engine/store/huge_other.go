//go:build !linux

package store

import "errors"

// adviseHuge does nothing here.
func adviseHuge([]byte) {}

// populate is for Linux.
func populate([]byte) error { return errors.ErrUnsupported }
