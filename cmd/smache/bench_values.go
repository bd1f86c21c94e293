package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// floatValue is a number, never negative.
type floatValue float64

func (v *floatValue) Set(text string) error {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		return errors.New("must be a number, 0 or above")
	}
	*v = floatValue(n)
	return nil
}

func (v *floatValue) String() string { return strconv.FormatFloat(float64(*v), 'g', -1, 64) }
