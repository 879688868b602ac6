package iot

import (
	"crypto/rsa"
	"crypto/tls"
	"fmt"

	ca "github.com/fleetstep/fleetstep/internal/localcloud/iot/authority"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// authority returns the certificate authority of the store, making it the first time.
func (s *Service) authority() (*ca.Authority, error) {
	s.caMu.Lock()
	defer s.caMu.Unlock()
	if s.ca != nil {
		return s.ca, nil
	}
	var a authority
	var found bool
	err := s.db.View(func(tx *store.Tx) (err error) {
		a, found, err = authorityTable.Get(tx, single)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		a.Serial = 1
		if a.Certificate, a.Key, err = ca.New(s.sched, s.sched.Now()); err != nil {
			return nil, fmt.Errorf("iot: %w", err)
		}
		if err := s.db.Update(func(tx *store.Tx) error { return authorityTable.Put(tx, a, single) }); err != nil {
			return nil, err
		}
	}
	if s.ca, err = ca.Open(s.sched, a.Certificate, a.Key); err != nil {
		return nil, fmt.Errorf("iot: authority of the store: %w", err)
	}
	return s.ca, nil
}

// newKey makes a device's RSA key, in virtual time from the seed.
func (s *Service) newKey() (*rsa.PrivateKey, error) {
	if s.sched.Virtual() {
		return ca.DeviceKey(s.sched)
	}
	return rsa.GenerateKey(s.sched, 2048)
}

// CA returns the certificate that devices must trust, in PEM form.
func (s *Service) CA() ([]byte, error) {
	a, err := s.authority()
	if err != nil {
		return nil, err
	}
	return a.PEM(), nil
}

// ServerCertificate makes a certificate for the broker's TLS listener, for localhost, the loopback addresses and
// further hosts (names or IP addresses).
func (s *Service) ServerCertificate(hosts ...string) (tls.Certificate, error) {
	a, err := s.authority()
	if err != nil {
		return tls.Certificate{}, err
	}
	certificate, err := a.Server(s.sched.Now(), hosts...)
	if err != nil {
		err = fmt.Errorf("iot: %w", err)
	}
	return certificate, err
}
