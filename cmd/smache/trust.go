package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// trustFlags holds what a client was told of TLS.
type trustFlags struct {
	ca        stringValue
	cert, key stringValue
}

// settings are the rows of TLS in a client's table; more is added to what is said of
// --ca.
func (c *trustFlags) settings(more string) []setting {
	return []setting{
		{name: "ca", unit: "FILE", value: &c.ca, about: "Certificates, PEM, that the node's must go back to, in place of those of the system" + more},
		{name: "client-cert", unit: "FILE", value: &c.cert, about: "The client's certificate, PEM, for a node that asks for one"},
		{name: "client-key", unit: "FILE", value: &c.key, about: "Its key, PEM"},
	}
}

// config gives whom the client trusts, and how it shows who it is. The errors name the
// flag.
func (c *trustFlags) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if c.ca != "" {
		if config.RootCAs, err = readCertificates("ca", string(c.ca)); err != nil {
			return nil, err
		}
	}
	if (c.cert == "") != (c.key == "") {
		return nil, errors.New("--client-cert and --client-key belong together")
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(string(c.cert), string(c.key))
		if err != nil {
			return nil, fmt.Errorf("--client-cert, --client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// readCertificates reads a file of certificates that others are judged by. The
// errors name the flag.
func readCertificates(flag, path string) (*x509.CertPool, error) {
	text, _, err := readSecretFile(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--%s: there is no certificate in %s; it must be PEM", flag, path)
	}
	return pool, nil
}
