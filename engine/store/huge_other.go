//go:build !linux

package store

import "errors"

// renew does nothing here.
func renew([]byte) error { return nil }

// populate is for Linux.
func populate([]byte) error { return errors.ErrUnsupported }
