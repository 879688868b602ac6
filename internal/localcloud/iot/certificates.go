package iot

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	ca "github.com/fleetstep/fleetstep/internal/localcloud/iot/authority"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Statuses of a certificate.
const (
	active   = "ACTIVE"
	inactive = "INACTIVE"
	revoked  = "REVOKED"
)

const (
	exclusiveThing    = "EXCLUSIVE_THING"
	nonExclusiveThing = "NON_EXCLUSIVE_THING"
)

// CertificateID is the id AWS gives a certificate: the SHA-256 of its DER form
// in hex.
func CertificateID(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func statusOf(setAsActive bool) string {
	if setAsActive {
		return active
	}
	return inactive
}

// addCertificate stores a certificate.
func (s *Service) addCertificate(der []byte, status, mode string) (id, text string, err error) {
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return "", "", awsapi.Errorf("CertificateValidationException", "%v", err)
	}
	id = CertificateID(der)
	text = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	c := certificate{
		PEM: text, Status: status, Created: s.now(), Modified: s.now(), Mode: mode, Version: 1,
		GeneratedID: s.sched.UUID(),
		NotBefore:   parsed.NotBefore.UnixMilli(), NotAfter: parsed.NotAfter.UnixMilli(),
	}
	return id, text, s.db.Update(func(tx *store.Tx) error {
		if _, taken, err := certificateTable.Get(tx, id); err != nil {
			return err
		} else if taken {
			return exists(id, s.arn("cert/"+id), "The certificate is already provisioned or registered")
		}
		if err := certificateOrder.Put(tx, mark{}, store.Number(uint64(c.Created)), id); err != nil {
			return err
		}
		tx.OnCommit(s.changedOf(s.arn("cert/" + id)))
		return certificateTable.Put(tx, c, id)
	})
}

type createKeysIn struct {
	SetAsActive bool `json:"setAsActive,omitempty" query:"setAsActive"`
}

type keyPair struct {
	PublicKey  string `json:"PublicKey"`
	PrivateKey string `json:"PrivateKey"`
}

type certificateOut struct {
	CertificateARN string   `json:"certificateArn"`
	CertificateID  string   `json:"certificateId"`
	CertificatePEM string   `json:"certificatePem,omitempty"`
	KeyPair        *keyPair `json:"keyPair,omitempty"`
}

func (s *Service) createKeys(_ context.Context, _ *awsapi.Call, in *createKeysIn) (*certificateOut, error) {
	key, err := s.newKey()
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	a, err := s.authority()
	if err != nil {
		return nil, err
	}
	der, err := a.Sign(s.sched.Now(), ca.DeviceSubject, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	id, text, err := s.addCertificate(der, statusOf(in.SetAsActive), "DEFAULT")
	if err != nil {
		return nil, err
	}
	return &certificateOut{s.arn("cert/" + id), id, text, &keyPair{
		PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
			Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	}}, nil
}

type createFromCSRIn struct {
	CertificateSigningRequest string `json:"certificateSigningRequest" api:"min=1,max=4096"`
	SetAsActive               bool   `json:"setAsActive,omitempty" query:"setAsActive"`
}

func (s *Service) createFromCSR(_ context.Context, _ *awsapi.Call, in *createFromCSRIn) (*certificateOut, error) {
	block, _ := pem.Decode([]byte(in.CertificateSigningRequest))
	if block == nil || !strings.HasSuffix(block.Type, "CERTIFICATE REQUEST") {
		return nil, invalid("The certificate signing request is not in PEM form.")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, invalid("The certificate signing request cannot be read: %v", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, invalid("The certificate signing request is not signed by its key: %v", err)
	}
	switch key := csr.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return nil, invalid("The RSA key has %d bits; at least 2048 are required.", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
	default:
		return nil, invalid("The key must be an RSA or an elliptic-curve key.")
	}
	a, err := s.authority()
	if err != nil {
		return nil, err
	}
	der, err := a.Sign(s.sched.Now(), csr.Subject, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	id, text, err := s.addCertificate(der, statusOf(in.SetAsActive), "DEFAULT")
	if err != nil {
		return nil, err
	}
	return &certificateOut{CertificateARN: s.arn("cert/" + id), CertificateID: id, CertificatePEM: text}, nil
}

type registerIn struct {
	CertificatePEM string `json:"certificatePem" api:"min=1,max=65536"`
	Status         string `json:"status,omitempty" api:"set=certificate states"`
}

func (s *Service) registerWithoutCA(_ context.Context, _ *awsapi.Call, in *registerIn) (*certificateOut, error) {
	switch in.Status {
	case "":
		in.Status = inactive
	case active, inactive:
	default:
		return nil, invalid("status is %q; allowed are ACTIVE and INACTIVE.", in.Status)
	}
	block, _ := pem.Decode([]byte(in.CertificatePEM))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, awsapi.Errorf("CertificateValidationException", "The certificate is not in PEM form.")
	}
	id, _, err := s.addCertificate(block.Bytes, in.Status, "SNI_ONLY")
	if err != nil {
		return nil, err
	}
	return &certificateOut{CertificateARN: s.arn("cert/" + id), CertificateID: id}, nil
}

type certificateIn struct {
	CertificateID string `json:"certificateId" uri:"certificateId" api:"min=64,max=64,pattern=certificate id"`
	ForceDelete   bool   `json:"forceDelete,omitempty" query:"forceDelete"`
	NewStatus     string `json:"newStatus,omitempty" query:"newStatus" api:"set=certificate states"`
}

type certificateDescription struct {
	CertificateARN   string       `json:"certificateArn"`
	CertificateID    string       `json:"certificateId"`
	Status           string       `json:"status"`
	CertificatePEM   string       `json:"certificatePem"`
	OwnedBy          string       `json:"ownedBy"`
	CreationDate     *awsapi.Time `json:"creationDate"`
	LastModifiedDate *awsapi.Time `json:"lastModifiedDate"`
	CustomerVersion  int          `json:"customerVersion"`
	GenerationID     string       `json:"generationId"`
	Validity         validity     `json:"validity"`
	CertificateMode  string       `json:"certificateMode"`
}

type validity struct {
	NotBefore *awsapi.Time `json:"notBefore"`
	NotAfter  *awsapi.Time `json:"notAfter"`
}

type describeCertificateOut struct {
	CertificateDescription certificateDescription `json:"certificateDescription"`
}

func (s *Service) describeCertificate(_ context.Context, _ *awsapi.Call,
	in *certificateIn) (*describeCertificateOut, error) {
	out := &describeCertificateOut{}
	err := s.db.View(func(tx *store.Tx) error {
		c, err := s.getCertificate(tx, in.CertificateID)
		out.CertificateDescription = certificateDescription{
			s.arn("cert/" + in.CertificateID), in.CertificateID, c.Status, c.PEM, s.config.Account,
			awsapi.TimeOf(moment(c.Created)), awsapi.TimeOf(moment(c.Modified)), c.Version, c.GeneratedID,
			validity{awsapi.TimeOf(moment(c.NotBefore)), awsapi.TimeOf(moment(c.NotAfter))}, c.Mode,
		}
		return err
	})
	return out, err
}

type listCertificatesIn struct {
	PageSize       *int   `json:"pageSize,omitempty" query:"pageSize" api:"min=1,max=250"`
	Marker         string `json:"marker,omitempty" query:"marker" api:"max=1024"`
	AscendingOrder bool   `json:"ascendingOrder,omitempty" query:"isAscendingOrder"`
}

type certificateView struct {
	CertificateARN  string       `json:"certificateArn"`
	CertificateID   string       `json:"certificateId"`
	Status          string       `json:"status"`
	CertificateMode string       `json:"certificateMode"`
	CreationDate    *awsapi.Time `json:"creationDate"`
}

type listCertificatesOut struct {
	Certificates []certificateView `json:"certificates"`
	NextMarker   string            `json:"nextMarker,omitempty"`
}

type listAuthoritiesOut struct {
	Certificates []certificateView `json:"certificates"`
}

// listAuthorities lists none: RegisterCACertificate is not built.
func (s *Service) listAuthorities(context.Context, *awsapi.Call, *listCertificatesIn) (*listAuthoritiesOut, error) {
	return &listAuthoritiesOut{Certificates: []certificateView{}}, nil
}

func (s *Service) listCertificates(_ context.Context, _ *awsapi.Call,
	in *listCertificatesIn) (*listCertificatesOut, error) {
	p, err := newPage(in.PageSize, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &listCertificatesOut{Certificates: []certificateView{}}
	err = s.db.View(func(tx *store.Tx) error {
		q := store.Query{Reverse: !in.AscendingOrder}
		if len(p.after) > 0 {
			last, err := s.getCertificate(tx, p.after[0])
			if err != nil {
				return err
			}
			q.After = []string{store.Number(uint64(last.Created)), p.after[0]}
		}
		for row, err := range certificateOrder.Scan(tx, q) {
			if err != nil || p.full() {
				return err
			}
			id := row.Key[1]
			c, err := s.getCertificate(tx, id)
			if err != nil {
				return err
			}
			out.Certificates = append(out.Certificates, certificateView{s.arn("cert/" + id), id, c.Status, c.Mode,
				awsapi.TimeOf(moment(c.Created))})
			p.add(id)
		}
		return nil
	})
	out.NextMarker = p.token
	return out, err
}

func (s *Service) updateCertificate(_ context.Context, _ *awsapi.Call, in *certificateIn) (*empty, error) {
	if !slices.Contains([]string{active, inactive, revoked}, in.NewStatus) {
		return nil, invalid("newStatus is %q; allowed are ACTIVE, INACTIVE and REVOKED.", in.NewStatus)
	}
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		c, err := s.getCertificate(tx, in.CertificateID)
		if err != nil {
			return err
		}
		c.Status, c.Modified = in.NewStatus, s.now()
		c.Version++
		tx.OnCommit(s.changedOf(s.arn("cert/" + in.CertificateID)))
		return certificateTable.Put(tx, c, in.CertificateID)
	})
}

func (s *Service) deleteCertificate(_ context.Context, _ *awsapi.Call, in *certificateIn) (*empty, error) {
	arn := s.arn("cert/" + in.CertificateID)
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		c, err := s.getCertificate(tx, in.CertificateID)
		if err != nil {
			return err
		}
		if c.Status == active {
			return certificateState("Certificate must be deactivated (not ACTIVE) before deletion.")
		}
		things, err := all(tx, principalThing, arn)
		if err != nil {
			return err
		}
		if len(things) > 0 {
			return conflict("DeleteConflictException", "Things must be detached before deletion (arn: %s)", arn)
		}
		policies, err := all(tx, targetPolicy, arn)
		if err != nil {
			return err
		}
		if len(policies) > 0 && !in.ForceDelete {
			return conflict("DeleteConflictException",
				"Certificate policies must be detached before deletion (arn: %s)", arn)
		}
		if err := s.detachAll(tx, arn); err != nil {
			return err
		}
		if err := certificateOrder.Delete(tx, store.Number(uint64(c.Created)), in.CertificateID); err != nil {
			return err
		}
		tx.OnCommit(s.changedOf(arn))
		return certificateTable.Delete(tx, in.CertificateID)
	})
}

func parsePEM(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, invalid("The certificate is not in PEM form.")
	}
	return x509.ParseCertificate(block.Bytes)
}
