package main

import (
	"fmt"

	"github.com/smache/smache/peer/secure"
)

// runSecret prints a new secret, which the nodes of a cluster share.
func runSecret(inv invocation) int {
	if _, code, ok := parseCommand(inv, "secret", nil, 0, 0); !ok {
		return code
	}
	// A secret that was cut short on its way to a file must not pass for one.
	if _, err := fmt.Fprintln(inv.stdout, secure.GenerateSecret()); err != nil {
		fmt.Fprintf(inv.stderr, "smache secret: %v\n", err)
		return exitNo
	}
	return exitOK
}
