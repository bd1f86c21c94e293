package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// The values of --tls-client-auth.
const (
	clientAuthRequired = "required"
	clientAuthOptional = "optional"
)

// tlsFlags holds what smache serve was told of TLS on the port of the API.
type tlsFlags struct {
	cert, key, clientCA stringValue
	clientAuth          choiceValue

	// keyOpen says that all users of the machine may read the key.
	keyOpen bool
	// set gives the running node its certificates.
	set func(*tls.Config)
}

func newTLSFlags() tlsFlags {
	return tlsFlags{clientAuth: choiceValue{clientAuthRequired, []string{clientAuthRequired, clientAuthOptional}}}
}

// settings are the rows of TLS in the table of smache serve.
func (c *tlsFlags) settings() []setting {
	return []setting{
		{name: "tls-cert", unit: "FILE", value: &c.cert, about: "The certificate of the HTTP API, PEM, and those that it goes back to: TLS 1.2 and 1.3 are then spoken instead of plain HTTP. It, the key and the CA are read again when they change, and on SIGHUP; connections that are there go on"},
		{name: "tls-key", unit: "FILE", value: &c.key, about: "The certificate's key, PEM"},
		{name: "tls-client-ca", unit: "FILE", value: &c.clientCA, about: "Certificates, PEM, that those of clients must go back to: clients then need one"},
		{name: "tls-client-auth", unit: "HOW", value: &c.clientAuth, about: "`required`: every client needs a certificate, and a token as well where tokens are set; probes, too. `optional`: a certificate stands for a token of `--token`"},
	}
}

// on reports whether TLS is to be spoken.
func (c *tlsFlags) on() bool { return c.cert != "" }

// closed reports whether only clients with a certificate get in.
func (c *tlsFlags) closed() bool { return c.clientCA != "" && c.clientAuth.word == clientAuthRequired }

// check refuses what makes no sense. tokens says that the API has some.
func (c *tlsFlags) check(tokens bool) error {
	switch {
	case (c.cert == "") != (c.key == ""):
		return errors.New("--tls-cert and --tls-key belong together")
	case c.clientCA != "" && !c.on():
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	case c.clientAuth.word == clientAuthOptional && c.clientCA == "":
		return errors.New("--tls-client-auth needs --tls-client-ca")
	case c.clientAuth.word == clientAuthOptional && !tokens:
		return errors.New("--tls-client-auth optional has no meaning without tokens, which a certificate stands for: see --token-file")
	default:
		return nil
	}
}

// config makes what the files say now; nil without TLS. The errors name the flag.
// Each call makes a config of its own: sessions of one are not resumed under
// another, whose authorities may be others.
func (c *tlsFlags) config() (*tls.Config, error) {
	if !c.on() {
		return nil, nil // no TLS
	}
	cert, _, err := readSecretFile(string(c.cert))
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	key, open, err := readSecretFile(string(c.key))
	if err != nil {
		return nil, fmt.Errorf("--tls-key: %w", err)
	}
	c.keyOpen = open
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", string(c.cert), string(c.key), err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("--tls-cert %s: the certificate expired at %s", string(c.cert), pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
	}
	if c.clientCA != "" {
		if config.ClientCAs, err = readCertificates("tls-client-ca", string(c.clientCA)); err != nil {
			return nil, err
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
		if c.clientAuth.word == clientAuthOptional {
			config.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return config, nil
}

// reload reads the files again, and gives the node what they say.
func (c *tlsFlags) reload() error {
	config, err := c.config()
	if err != nil {
		return err
	}
	c.set(config)
	return nil
}

// warn says what an operator should know of the files.
func (c *tlsFlags) warn(log *slog.Logger) {
	if c.keyOpen {
		log.Warn("all users of this machine may read the key: chmod 600, or 640", "file", string(c.key))
	}
}
