package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's way to the network: one TCP and one UDP port of the
// same number. It differs from memberlist's own in what it bounds (see stream), in
// that its buffers do not cost 64 KiB for each packet, and in that Shutdown ends
// everything that is under way.
type transport struct {
	tcp       net.Listener
	udp       *net.UDPConn
	bound     netip.AddrPort
	advertise netip.AddrPort
	logs      *logs
	cut       func(netip.AddrPort) bool // tests: an address that nothing reaches

	head    []byte // what every packet and incoming stream begins with
	packets chan *memberlist.Packet
	streams chan net.Conn
	ctx     context.Context // ends when the transport does
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	closing bool
	open    map[*stream]struct{}
	inbound int
	held    int64                    // bytes that open streams have received
	dials   map[netip.AddrPort]error // of joins: whether anybody was reached

	sentPackets, receivedPackets atomic.Uint64
	sentBytes, receivedBytes     atomic.Uint64 // of packets
	rejected                     [len(rejections)]atomic.Uint64
}

// What comes in and is not handed on, by reason.
const (
	rejectLabel   = 0 // of another cluster, or no gossip at all
	rejectForm    = 1 // not one sealed message
	rejectSize    = 2 // longer than maxPacket or maxStream
	rejectStreams = 3 // more than maxInbound connections
	rejectMemory  = 4 // connections have brought more than maxHeld
)

var rejections = [...]string{"label", "form", "size", "streams", "memory"}

const (
	// maxPacket is above what memberlist sends, 1,400 bytes unless names are long.
	maxPacket = 4096
	// maxStream is the longest exchange of states: more than proto.MaxMembers
	// nodes.
	maxStream = 1 << 20
	// maxHeld bounds what unsealed streams hold together.
	maxHeld = 4 << 20
	// maxInbound is the most connections of others at a time; each costs about 20
	// KiB before it has sent anything.
	maxInbound = 128

	// labelMark begins the header of labelled packets and streams (hasLabelMsg in
	// memberlist); the label's length and the label follow.
	labelMark = 244
	// encryptMark is the type of a sealed message on a stream (encryptMsg).
	encryptMark = 10
	// sealVersion is the only way of sealing in use: AES-GCM without padding.
	sealVersion = 1
	// sealLen is what sealing adds: version, nonce and tag. Memberlist indexes the
	// first byte of what it has opened, and so must get at least that.
	sealLen = 1 + 12 + 16
)

// The errors that a reader of a stream gets. They are in memberlist's log lines.
var (
	errLabel  = errors.New("not of this cluster, see --cluster")
	errForm   = errors.New("not a sealed message")
	errSize   = errors.New("longer than a message may be")
	errMemory = errors.New("too much is being received")
)

// newTransport binds the ports. The error is ErrListen.
func newTransport(bind, label string, logs *logs) (*transport, error) {
	t := &transport{
		logs: logs, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		head: append([]byte{labelMark, byte(len(label))}, label...),
		open: map[*stream]struct{}{}, dials: map[netip.AddrPort]error{},
	}
	var err error
	for range 10 { // port 0: the TCP port that is free may be taken for UDP
		if err = t.bind(bind); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrListen, err)
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

func (t *transport) bind(address string) error {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	local := tcp.Addr().(*net.TCPAddr)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Port: local.Port, Zone: local.Zone})
	if err != nil {
		_ = tcp.Close()
		return err
	}
	t.tcp, t.udp = tcp, udp
	addr := local.AddrPort()
	t.bound = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return nil
}

// start begins to receive.
func (t *transport) start() {
	t.wg.Go(t.accept)
	t.wg.Go(t.receive)
}

// reject counts and logs what is not handed on.
func (t *transport) reject(what string, reason int, from net.Addr) {
	t.rejected[reason].Add(1)
	t.logs.put(slog.LevelInfo, "gossip: dropped a stranger's "+what, "reason", rejections[reason], "from", from.String())
}

// failed logs the nth error in a row of a port and waits a little, false if the
// transport has ended.
func (t *transport) failed(n int, err error) bool {
	if t.ctx.Err() == nil {
		t.logs.put(slog.LevelWarn, "gossip: cannot receive", "error", err)
	}
	select {
	case <-t.ctx.Done():
		return false
	case <-time.After(min(time.Second, time.Duration(n)*10*time.Millisecond)):
		return true
	}
}

func (t *transport) accept() {
	for failures := 0; ; {
		conn, err := t.tcp.Accept()
		if err != nil {
			failures++
			if !t.failed(failures, err) {
				return
			}
			continue
		}
		failures = 0
		s := t.track(conn, true)
		if s == nil {
			t.reject("connection", rejectStreams, conn.RemoteAddr())
			continue
		}
		select {
		case t.streams <- s:
		case <-t.ctx.Done():
			_ = s.Close()
			return
		}
	}
}

func (t *transport) receive() {
	buf := make([]byte, maxPacket+1)
	for failures := 0; ; {
		n, from, err := t.udp.ReadFromUDP(buf)
		if err != nil {
			failures++
			if !t.failed(failures, err) {
				return
			}
			continue
		}
		failures = 0
		now := time.Now()
		t.receivedPackets.Add(1)
		t.receivedBytes.Add(uint64(n))
		if reason, ok := t.judge(buf[:n]); !ok {
			t.reject("packet", reason, from)
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: now}:
		case <-t.ctx.Done():
			return
		}
	}
}

// judge says whether a packet has the form of a sealed message of this cluster,
// and if not, what is wrong.
func (t *transport) judge(b []byte) (reason int, ok bool) {
	switch {
	case len(b) > maxPacket:
		return rejectSize, false
	case len(b) <= len(t.head) || string(b[:len(t.head)]) != string(t.head):
		return rejectLabel, false
	case len(b) <= len(t.head)+sealLen || b[len(t.head)] != sealVersion:
		return rejectForm, false
	}
	return 0, true
}

// FinalAdvertiseAddr is memberlist's question for the address to tell others.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.Addr().AsSlice(), int(t.advertise.Port()), nil
}

// WriteTo sends a packet.
func (t *transport) WriteTo(b []byte, address string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: address})
}

// WriteToAddress sends a packet.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	if t.cut != nil && t.cut(to) {
		return time.Now(), nil
	}
	_, err = t.udp.WriteToUDPAddrPort(b, to)
	t.sentPackets.Add(1)
	t.sentBytes.Add(uint64(len(b)))
	return time.Now(), err
}

// PacketCh is where memberlist takes packets from.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// DialTimeout opens a connection.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: address}, timeout)
}

// DialAddressTimeout opens a connection. Only joins come without a name: whether
// they reach anybody is kept for dialed.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return nil, err
	}
	s, err := t.dial(to, timeout)
	if a.Name == "" {
		t.mu.Lock()
		t.dials[to] = err
		t.mu.Unlock()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (t *transport) dial(to netip.AddrPort, timeout time.Duration) (*stream, error) {
	if t.cut != nil && t.cut(to) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EHOSTUNREACH}
	}
	dialer := net.Dialer{Timeout: min(timeout, dialTimeout)}
	conn, err := dialer.DialContext(t.ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(timeout)) // before memberlist does: it writes first
	if s := t.track(conn, false); s != nil {
		return s, nil
	}
	return nil, net.ErrClosed
}

// dialed gives, and forgets, what became of the last dial of a join.
func (t *transport) dialed(to netip.AddrPort) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.dials[to]
	delete(t.dials, to)
	return err
}

// StreamCh is where memberlist takes connections from.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown closes the ports and all connections, and waits for those who listened.
func (t *transport) Shutdown() error {
	t.cancel()
	_, _ = t.tcp.Close(), t.udp.Close()
	t.mu.Lock()
	t.closing = true
	for s := range t.open {
		_ = s.Conn.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return nil
}
