package bench

import "fmt"

// The text of a key is its prefix and its number in ten decimal digits, so that
// every key has the same length.
const (
	// DefaultPrefix begins the keys: bench-0000000000, bench-0000000001, …
	DefaultPrefix = "bench-"
	keyDigits     = 10
	// MaxKeys is the number of different keys that fit in ten digits.
	MaxKeys = 10_000_000_000
	// DefaultSkew is the exponent of OrderZipf that is used unless given, YCSB's.
	DefaultSkew = 0.99
)

// Order is how a workload goes through its keys.
type Order uint8

const (
	// OrderRandom picks every key with the same chance, by a generator that is
	// a function of the seed and the request's number.
	OrderRandom Order = 0
	// OrderSequential takes the keys one after the other, again and again.
	OrderSequential Order = 1
	// OrderZipf picks key k with a chance proportional to 1/(k+1)^Skew, by the
	// same generator: few keys are hot, most are cold.
	OrderZipf Order = 2
)

// Keys are the keys of a workload.
type Keys struct {
	// Prefix begins the text of each key; letters, digits and -._~ only, so that
	// it is the same in a query and in JSON. DefaultPrefix if empty.
	Prefix string
	// Count is the number of different keys; 1 if zero.
	Count uint64
	// Only, if set, are the numbers of the keys, in place of 0 to Count-1; Count
	// is its length then.
	Only []uint64
	// Order says how they are gone through.
	Order Order
	// Skew is the exponent of OrderZipf, above 0 and at most 10; DefaultSkew if zero.
	Skew float64
	// Seed starts the generator of OrderRandom and OrderZipf.
	Seed uint64

	zipf zipf
}

// withDefaults fills in and checks. The errors wrap ErrConfig.
func (k Keys) withDefaults() (Keys, error) {
	if k.Prefix == "" {
		k.Prefix = DefaultPrefix
	}
	if len(k.Only) > 0 {
		k.Count = uint64(len(k.Only))
	}
	if k.Count == 0 {
		k.Count = 1
	}
	if k.Skew == 0 {
		k.Skew = DefaultSkew
	}
	if k.Count > MaxKeys {
		return k, fmt.Errorf("%w: --keys must be at most %d", ErrConfig, uint64(MaxKeys))
	}
	if !(k.Skew > 0 && k.Skew <= 10) {
		return k, fmt.Errorf("%w: --skew must be above 0 and at most 10", ErrConfig)
	}
	if k.Order == OrderZipf {
		k.zipf = newZipf(k.Count, k.Skew)
	}
	if len(k.Prefix) > 256 {
		return k, fmt.Errorf("%w: --key-prefix is longer than 256 bytes", ErrConfig)
	}
	for _, c := range []byte(k.Prefix) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '.', c == '_', c == '~':
		default:
			return k, fmt.Errorf("%w: --key-prefix %q has other bytes than letters, digits and -._~", ErrConfig, k.Prefix)
		}
	}
	return k, nil
}

// Index is the number of the n-th key that is asked for.
func (k *Keys) Index(n uint64) uint64 {
	i := uint64(0)
	switch {
	case k.Count == 1:
	case k.Order == OrderSequential:
		i = n % k.Count
	case k.Order == OrderZipf:
		i = k.zipf.draw(k.Seed, n)
	default:
		i = mix(k.Seed+n*golden64) % k.Count
	}
	if k.Only != nil {
		return k.Only[i]
	}
	return i
}

// AppendKey appends the text of a key.
func (k *Keys) AppendKey(dst []byte, index uint64) []byte {
	dst = append(dst, k.Prefix...)
	dst = append(dst, make([]byte, keyDigits)...)
	putDigits(dst[len(dst)-keyDigits:], index)
	return dst
}

// keySize is the length of the text of each key.
func (k *Keys) keySize() int { return len(k.Prefix) + keyDigits }

// about says how many keys there are and how they are gone through.
func (k *Keys) about() string {
	chosen := ""
	if k.Only != nil {
		chosen = "chosen "
	}
	switch {
	case k.Count == 1:
		return "1 " + chosen + "key"
	case k.Order == OrderSequential:
		return fmt.Sprintf("%d %skeys in turn", k.Count, chosen)
	case k.Order == OrderZipf:
		return fmt.Sprintf("%d %skeys, zipf %g", k.Count, chosen, k.Skew)
	default:
		return fmt.Sprintf("%d %skeys at random", k.Count, chosen)
	}
}

// golden64 is 2^64 over the golden ratio, the increment of SplitMix64.
const golden64 = 0x9e3779b97f4a7c15

// mix is SplitMix64's finaliser (Sebastiano Vigna, public domain): neighbours
// in, unrelated numbers out.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
