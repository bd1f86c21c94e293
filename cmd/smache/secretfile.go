package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxSecretFile is more than any secrets, tokens, keys and certificates have.
const maxSecretFile = 1 << 20

// readSecretFile reads a file that holds secrets. open says that all users of the
// machine may read it.
func readSecretFile(path string) (text []byte, open bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.IsDir() {
		return nil, false, fmt.Errorf("%s is a directory", path)
	}
	const others = 0o004
	open = info.Mode().IsRegular() && info.Mode().Perm()&others != 0
	text, err = io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err == nil && len(text) > maxSecretFile {
		err = fmt.Errorf("%s: %w", path, errLongFile)
	}
	return text, open, err
}

// errLongFile says that a file is none of those that hold secrets.
var errLongFile = errors.New("the file is longer than 1 MiB")
