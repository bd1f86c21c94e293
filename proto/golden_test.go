package proto

// goldenSlots holds slots of keys, given as strings. Any client that computes
// slots must get these.
var goldenSlots = map[string]Slot{
	"1":                              576,
	"0":                              40743,
	"-1":                             63732,
	"24929":                          52181,
	"aa":                             49302,
	"aaa":                            15642,
	"abcd":                           62570,
	"vehicle:0001":                   35525,
	"é":                              27429,
	"123456789012345678901234567890": 22449,
}
