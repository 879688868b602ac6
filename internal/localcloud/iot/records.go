package iot

import (
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// getThing reads a thing, or says that it is not there.
func (s *Service) getThing(tx *store.Tx, name string) (thing, error) {
	t, ok, err := thingTable.Get(tx, name)
	if err == nil && !ok {
		err = s.noThing(name)
	}
	return t, err
}

func (s *Service) noThing(name string) error { return notFound("Thing %s cannot be found.", name) }

func (s *Service) getGroup(tx *store.Tx, name string) (group, error) {
	g, ok, err := groupTable.Get(tx, name)
	if err == nil && !ok {
		err = notFound("Thing group %s cannot be found.", name)
	}
	return g, err
}

func (s *Service) getCertificate(tx *store.Tx, id string) (certificate, error) {
	c, ok, err := certificateTable.Get(tx, id)
	if err == nil && !ok {
		err = notFound("The certificate given in the request does not exist: %s", id)
	}
	return c, err
}

func (s *Service) getPolicyRecord(tx *store.Tx, name string) (policyRecord, error) {
	p, ok, err := policyTable.Get(tx, name)
	if err == nil && !ok {
		err = errNoPolicy(name)
	}
	return p, err
}

func errNoPolicy(name string) error { return notFound("Policy not found (name=%s)", name) }

func (s *Service) getVersion(tx *store.Tx, name, id string) (int64, policyVersion, error) {
	n, err := strconv.ParseInt(id, 10, 63)
	if err != nil || n < 1 {
		return 0, policyVersion{}, invalid("policyVersionId %q is not a number.", id)
	}
	v, ok, err := policyVersions.Get(tx, name, store.Number(uint64(n)))
	if err == nil && !ok {
		err = notFound("Policy version %s of policy %s does not exist.", id, name)
	}
	return n, v, err
}

func (s *Service) getThingType(tx *store.Tx, name string) (thingType, error) {
	t, ok, err := thingTypeTable.Get(tx, name)
	if err == nil && !ok {
		err = notFound("Thing type %s cannot be found.", name)
	}
	return t, err
}
