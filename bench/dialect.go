package bench

// A dialect makes the operations of the scenarios in the words of one protocol.
type dialect interface {
	// control is a request that does nothing.
	control() operation
	// post writes a key, get reads one; mset and mget do so with Batch keys.
	post() operation
	get() operation
	mget() operation
	mset() operation
	// reader finds the ends of the answers on one connection.
	reader() Reader
}

func (c *WorkloadConfig) dialect() dialect {
	switch c.Endpoint.Protocol {
	case ProtocolRESP:
		return respDialect{c}
	case ProtocolPeer:
		return peerDialect{c}
	case ProtocolMemcached:
		return memcachedDialect{c}
	default:
		return httpDialect{c}
	}
}
