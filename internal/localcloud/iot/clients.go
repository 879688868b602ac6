package iot

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/policyvariables"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// ErrNotAuthorized is returned to the broker for a client that is refused or
// an action that no policy allows.
var ErrNotAuthorized = errors.New("iot: not authorized")

// Hello is how a client introduces itself.
type Hello struct {
	ClientID    string
	Certificate *x509.Certificate // nil without mutual TLS
	Username    string
	Password    []byte
	SourceIP    string
}

// Principal is who a client turned out to be.
type Principal struct {
	ID        string // the certificate's id
	ClientID  string
	ThingName string // the thing behind the client, if thing variables have values
	SourceIP  string
	Detail    any // what Authorize remembers
}

// permissions are a client's compiled policies and variables, as of a
// generation of what they depend on.
type permissions struct {
	mu         sync.Mutex
	places     []int // of changes
	generation uint64
	thing      string
	documents  []*policy.Document
	values     map[string][]string
}

// Authenticate finds the certificate of a client; see the package comment for
// the rules. The error is ErrNotAuthorized unless the store fails.
func (s *Service) Authenticate(_ context.Context, h Hello) (Principal, error) {
	p := Principal{ClientID: h.ClientID, SourceIP: h.SourceIP}
	err := s.db.View(func(tx *store.Tx) error {
		switch {
		case h.Certificate != nil:
			p.ID = CertificateID(h.Certificate.Raw)
		case h.Username != "":
			// AWS's clients append metrics to the name: id?SDK=...
			p.ID, _, _ = strings.Cut(h.Username, "?")
		default:
			principals, err := all(tx, thingPrincipal, h.ClientID)
			if err != nil {
				return err
			}
			for _, arn := range principals {
				id := s.nameIn("cert", arn)
				c, ok, err := certificateTable.Get(tx, id)
				if err != nil {
					return err
				}
				if ok && c.Status == active {
					p.ID = id
					break
				}
			}
		}
		c, ok, err := certificateTable.Get(tx, p.ID)
		if err == nil && (!ok || c.Status != active) {
			err = ErrNotAuthorized
		}
		return err
	})
	if err != nil {
		if errors.Is(err, ErrNotAuthorized) {
			s.denials.Add(awsapi.Denial{Who: "MQTT client " + p.ClientID, Action: "iot:Connect",
				Why: awsapi.NoCertificate})
		}
		return Principal{}, err
	}
	known := &permissions{}
	p.Detail = known
	known.mu.Lock()
	defer known.mu.Unlock()
	if err := s.refresh(p, known); err != nil {
		return Principal{}, err
	}
	p.ThingName = known.thing
	return p, nil
}

// Authorize returns nil if the policies of the principal's certificate, and of
// the groups of its things, allow an action such as iot:Publish on a resource
// such as arn:aws:iot:REGION:ACCOUNT:topic/a/b; otherwise ErrNotAuthorized.
func (s *Service) Authorize(_ context.Context, p Principal, action, resource string) error {
	known, ok := p.Detail.(*permissions)
	if !ok {
		known = &permissions{}
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.values == nil || known.generation != s.changes.generation(known.places) {
		if err := s.refresh(p, known); err != nil {
			return err
		}
	}
	decision, _ := policy.Evaluate(known.documents, policy.Request{Action: action, Resource: resource,
		Values: known.values})
	if decision != policy.Allow {
		s.denials.Add(awsapi.Denial{Who: "MQTT client " + p.ClientID, Action: action, Resource: resource})
		return ErrNotAuthorized
	}
	return nil
}

// Denied counts refused clients and actions since the process began.
func (s *Service) Denied() int64 { return s.denials.Total() }

// Denials lists them, each once and not more than a few hundred.
func (s *Service) Denials() []awsapi.Denial { return s.denials.List() }

// refresh reads a client's policies and variables anew; known.mu is held. What changes while it reads makes it read
// again: now, if it is what the client depends on, else at the next action.
func (s *Service) refresh(p Principal, known *permissions) error {
	for {
		known.generation = s.changes.generation(known.places)
		places, err := s.read(p, known)
		if err != nil {
			known.values = nil // so that the next action reads them again
			return err
		}
		if slices.Equal(places, known.places) {
			return nil
		}
		known.places = places
	}
}

// read reads a client's policies and variables, and returns where their changes are counted.
func (s *Service) read(p Principal, known *permissions) (places []int, err error) {
	known.documents, known.thing = nil, ""
	client := policyvariables.Client{ID: p.ClientID, SourceIP: p.SourceIP}
	arn := s.arn("cert/" + p.ID)
	err = s.db.View(func(tx *store.Tx) error {
		things, err := readThing(tx, arn, &client)
		if err != nil {
			return err
		}
		arns := []string{arn}
		for _, t := range things {
			arns = append(arns, s.arn("thing/"+t))
		}
		places = s.changes.places(arns...)
		c, ok, err := certificateTable.Get(tx, p.ID)
		if err != nil {
			return err
		}
		if !ok || c.Status != active {
			client.Thing, client.Attached = nil, false
			return nil // no documents: everything is refused
		}
		if client.Certificate, err = parsePEM(c.PEM); err != nil {
			client.Certificate = nil // its variables have no values
		}
		if client.Thing != nil {
			known.thing = client.Thing.Name
		}
		known.documents, err = s.documentsOf(tx, arn)
		return err
	})
	known.values = client.Values()
	return places, err
}

// readThing reads what thing is behind a client: one whose name is its id, or one that has the certificate alone. It
// returns all that have the certificate.
func readThing(tx *store.Tx, certificate string, client *policyvariables.Client) (things []string, err error) {
	name := ""
	for row, err := range principalThing.Scan(tx, store.Query{Prefix: []string{certificate}}) {
		if err != nil {
			return nil, err
		}
		client.Attached = true
		things = append(things, row.Key[1])
		if row.Key[1] == client.ID || row.Value == exclusiveThing {
			name = row.Key[1]
		}
	}
	if name == "" {
		return things, nil
	}
	t, _, err := thingTable.Get(tx, name)
	client.Thing = &policyvariables.Thing{Name: name, Type: t.Type, Attributes: t.Attributes}
	return things, err
}

// documentsOf are the policies of a certificate and of the groups of its things, each once.
func (s *Service) documentsOf(tx *store.Tx, certificate string) ([]*policy.Document, error) {
	groups, err := s.inherited(tx, certificate)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, target := range append([]string{certificate}, groups...) {
		list, err := all(tx, targetPolicy, target)
		if err != nil {
			return nil, err
		}
		for _, name := range list {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var documents []*policy.Document
	for _, name := range names {
		d, err := s.defaultDocument(tx, name)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

// defaultDocument returns a policy's default version, compiled.
func (s *Service) defaultDocument(tx *store.Tx, name string) (*policy.Document, error) {
	p, ok, err := policyTable.Shared(tx, name)
	if err == nil && !ok {
		err = errNoPolicy(name)
	}
	if err != nil {
		return nil, err
	}
	v, _, err := policyVersions.Shared(tx, name, store.Number(uint64(p.Default)))
	if err != nil {
		return nil, err
	}
	key := name + "/" + strconv.FormatInt(p.Default, 10)
	s.mu.Lock()
	cached := s.documents[key]
	s.mu.Unlock()
	if cached != nil && cached.text == v.Document {
		return cached.document, nil
	}
	d, err := parsePolicy(v.Document)
	if err != nil {
		return nil, awsapi.AsError(err)
	}
	s.mu.Lock()
	s.documents[key] = &parsedPolicy{v.Document, d}
	s.mu.Unlock()
	return d, nil
}

// VerifyClient is tls.Config.VerifyPeerCertificate of the broker's listener:
// the client's certificate must be registered and ACTIVE, whoever signed it.
// Use it with ClientAuth RequireAnyClientCert.
func (s *Service) VerifyClient(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 {
		return fmt.Errorf("iot: the client has no certificate")
	}
	id := CertificateID(raw[0])
	return s.db.View(func(tx *store.Tx) error {
		c, ok, err := certificateTable.Get(tx, id)
		if err != nil {
			return err
		}
		if !ok || c.Status != active {
			return fmt.Errorf("iot: the certificate %s is not registered and active", id)
		}
		return nil
	})
}
