package gossip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/memberlist"

	"github.com/smache/smache/proto"
)

// meta is what a node's data in memberlist says:
//
//	offset size
//	 0      1   version of this form, 1
//	 1      1   flags: 1 settled, the rest 0
//	 2      8   incarnation, little-endian
//	10      1   length of the peer address
//	11      1   length of the HTTP address
//	12      1   length of the version
//	13      …   peer address, HTTP address, version
//
// It may grow at its end: what follows is ignored.
type meta struct {
	incarnation uint64
	settled     bool // the node has its name; see roster.decideOwn
	info        Info
}

const (
	metaVersion = 1
	metaSettled = 1
	metaLen     = 13
	maxTexts    = memberlist.MetaMaxSize - metaLen
)

// encode gives the data of a node, at most memberlist's MetaMaxSize bytes. The
// error is ErrMeta.
func (m *meta) encode() ([]byte, error) {
	b := []byte{metaVersion, 0}
	if m.settled {
		b[1] = metaSettled
	}
	b = binary.LittleEndian.AppendUint64(b, m.incarnation)
	texts := [...]string{m.info.Peer, m.info.HTTP, m.info.Version}
	for _, text := range texts {
		if text != "" && proto.CheckName(text) != nil {
			return nil, fmt.Errorf("%w: %q must be at most %d visible ASCII characters", ErrMeta, text, proto.MaxNameLen)
		}
		b = append(b, byte(len(text)))
	}
	for _, text := range texts {
		b = append(b, text...)
	}
	if len(b) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("%w: addresses and version have %d bytes, more than %d", ErrMeta, len(b)-metaLen, maxTexts)
	}
	return b, nil
}

// decodeMeta reads what encode has written. It keeps nothing of b. The error is
// ErrMeta.
func decodeMeta(b []byte) (m meta, err error) {
	if len(b) < metaLen || b[0] != metaVersion {
		return m, fmt.Errorf("%w: not of this version", ErrMeta)
	}
	m.settled = b[1]&metaSettled != 0
	m.incarnation = binary.LittleEndian.Uint64(b[2:])
	rest := b[metaLen:]
	for i, text := range [...]*string{&m.info.Peer, &m.info.HTTP, &m.info.Version} {
		n := int(b[10+i])
		if n > len(rest) {
			return meta{}, fmt.Errorf("%w: cut short", ErrMeta)
		}
		*text, rest = string(rest[:n]), rest[n:]
		if n > 0 && proto.CheckName(*text) != nil {
			return meta{}, fmt.Errorf("%w: not visible ASCII", ErrMeta)
		}
	}
	return m, nil
}

// A run's key is the name that memberlist knows it by: the node's name, then this
// many characters: #, the incarnation that the run began with as 16 hexadecimal
// digits, and 8 random ones. So the keys of one name sort by when they began.
const keySuffix = 1 + 16 + 8

func runKey(name string, born uint64, random uint32) string {
	return fmt.Sprintf("%s#%016x%08x", name, born, random)
}

// run is one process that gossip knows of.
type run struct {
	key     string
	node    Node
	settled bool
}

// readRun makes a run of what memberlist knows. The error is ErrMeta.
func readRun(n *memberlist.Node) (run, error) {
	m, err := decodeMeta(n.Meta)
	if err != nil {
		return run{}, err
	}
	at := len(n.Name) - keySuffix
	if at < 1 || n.Name[at] != '#' || strings.Trim(n.Name[at+1:], "0123456789abcdef") != "" || proto.CheckName(n.Name[:at]) != nil {
		return run{}, fmt.Errorf("%w: not a name of this program", ErrMeta)
	}
	addr, ok := netip.AddrFromSlice(n.Addr)
	if !ok || n.Port == 0 {
		return run{}, fmt.Errorf("%w: no address", ErrMeta)
	}
	return run{key: n.Name, settled: m.settled, node: Node{
		Name: n.Name[:at], Incarnation: m.incarnation, Info: m.info,
		Gossip: netip.AddrPortFrom(addr.Unmap(), n.Port),
	}}, nil
}
