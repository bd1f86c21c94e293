//go:build !race

package httpapi

const poolMisses = 0
