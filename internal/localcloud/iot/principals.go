package iot

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type principalIn struct {
	ThingName          string `json:"thingName,omitempty" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	Principal          string `json:"principal,omitempty" header:"x-amzn-principal"`
	ThingPrincipalType string `json:"thingPrincipalType,omitempty" query:"thingPrincipalType" api:"values=EXCLUSIVE_THING|NON_EXCLUSIVE_THING"`
}

func (s *Service) attachThingPrincipal(_ context.Context, _ *awsapi.Call, in *principalIn) (*empty, error) {
	if in.ThingPrincipalType == "" {
		in.ThingPrincipalType = nonExclusiveThing
	}
	id := s.nameIn("cert", in.Principal)
	if id == "" {
		return nil, invalid("The principal %q is not the ARN of a certificate of this account.", in.Principal)
	}
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		if _, err := s.getThing(tx, in.ThingName); err != nil {
			return err
		}
		if _, err := s.getCertificate(tx, id); err != nil {
			return err
		}
		for row, err := range principalThing.Scan(tx, store.Query{Prefix: []string{in.Principal}}) {
			if err != nil {
				return err
			}
			if row.Key[1] != in.ThingName && (row.Value == exclusiveThing || in.ThingPrincipalType == exclusiveThing) {
				return invalid("The principal is attached to thing %s, which excludes this attachment.", row.Key[1])
			}
		}
		if err := principalThing.Put(tx, in.ThingPrincipalType, in.Principal, in.ThingName); err != nil {
			return err
		}
		tx.OnCommit(s.changedOf(in.Principal))
		return thingPrincipal.Put(tx, in.ThingPrincipalType, in.ThingName, in.Principal)
	})
}

func (s *Service) detachThingPrincipal(_ context.Context, _ *awsapi.Call, in *principalIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		if _, err := s.getThing(tx, in.ThingName); err != nil {
			return err
		}
		if err := principalThing.Delete(tx, in.Principal, in.ThingName); err != nil {
			return err
		}
		tx.OnCommit(s.changedOf(in.Principal))
		return thingPrincipal.Delete(tx, in.ThingName, in.Principal)
	})
}

type listThingPrincipalsIn struct {
	ThingName          string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	NextToken          string `json:"nextToken,omitempty" query:"nextToken"`
	MaxResults         *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	ThingPrincipalType string `json:"thingPrincipalType,omitempty" query:"thingPrincipalType" api:"values=EXCLUSIVE_THING|NON_EXCLUSIVE_THING"`
}

type listThingPrincipalsOut struct {
	Principals []string `json:"principals"`
	NextToken  string   `json:"nextToken,omitempty"`
}

type thingPrincipalView struct {
	Principal          string `json:"principal"`
	ThingPrincipalType string `json:"thingPrincipalType"`
}

type listThingPrincipalsV2Out struct {
	ThingPrincipalObjects []thingPrincipalView `json:"thingPrincipalObjects"`
	NextToken             string               `json:"nextToken,omitempty"`
}

func (s *Service) listThingPrincipalsV2(_ context.Context, _ *awsapi.Call, in *listThingPrincipalsIn) (
	*listThingPrincipalsV2Out, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listThingPrincipalsV2Out{ThingPrincipalObjects: []thingPrincipalView{}}
	err = s.db.View(func(tx *store.Tx) error {
		if _, err := s.getThing(tx, in.ThingName); err != nil {
			return err
		}
		for row, err := range thingPrincipal.Scan(tx, store.Query{Prefix: []string{in.ThingName}, After: p.after}) {
			if err != nil || p.full() {
				return err
			}
			if in.ThingPrincipalType == "" || in.ThingPrincipalType == row.Value {
				out.ThingPrincipalObjects = append(out.ThingPrincipalObjects, thingPrincipalView{row.Key[1],
					row.Value})
				p.add(row.Key[1])
			}
		}
		return nil
	})
	out.NextToken = p.token
	return out, err
}

func (s *Service) listThingPrincipals(ctx context.Context, c *awsapi.Call, in *listThingPrincipalsIn) (
	*listThingPrincipalsOut, error) {
	v2, err := s.listThingPrincipalsV2(ctx, c, in)
	if err != nil {
		return nil, err
	}
	out := &listThingPrincipalsOut{Principals: []string{}, NextToken: v2.NextToken}
	for _, v := range v2.ThingPrincipalObjects {
		out.Principals = append(out.Principals, v.Principal)
	}
	return out, nil
}

type listPrincipalThingsIn struct {
	Principal          string `json:"principal" header:"x-amzn-principal"`
	NextToken          string `json:"nextToken,omitempty" query:"nextToken"`
	MaxResults         *int   `json:"maxResults,omitempty" query:"maxResults" api:"min=1,max=250"`
	ThingPrincipalType string `json:"thingPrincipalType,omitempty" query:"thingPrincipalType" api:"values=EXCLUSIVE_THING|NON_EXCLUSIVE_THING"`
}

type listPrincipalThingsOut struct {
	Things    []string `json:"things"`
	NextToken string   `json:"nextToken,omitempty"`
}

type principalThingView struct {
	ThingName          string `json:"thingName"`
	ThingPrincipalType string `json:"thingPrincipalType"`
}

type listPrincipalThingsV2Out struct {
	PrincipalThingObjects []principalThingView `json:"principalThingObjects"`
	NextToken             string               `json:"nextToken,omitempty"`
}

func (s *Service) listPrincipalThingsV2(_ context.Context, _ *awsapi.Call, in *listPrincipalThingsIn) (
	*listPrincipalThingsV2Out, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listPrincipalThingsV2Out{PrincipalThingObjects: []principalThingView{}}
	err = s.db.View(func(tx *store.Tx) error {
		for row, err := range principalThing.Scan(tx, store.Query{Prefix: []string{in.Principal}, After: p.after}) {
			if err != nil || p.full() {
				return err
			}
			if in.ThingPrincipalType == "" || in.ThingPrincipalType == row.Value {
				out.PrincipalThingObjects = append(out.PrincipalThingObjects, principalThingView{row.Key[1],
					row.Value})
				p.add(row.Key[1])
			}
		}
		return nil
	})
	out.NextToken = p.token
	return out, err
}

func (s *Service) listPrincipalThings(ctx context.Context, c *awsapi.Call, in *listPrincipalThingsIn) (
	*listPrincipalThingsOut, error) {
	v2, err := s.listPrincipalThingsV2(ctx, c, in)
	if err != nil {
		return nil, err
	}
	out := &listPrincipalThingsOut{Things: []string{}, NextToken: v2.NextToken}
	for _, v := range v2.PrincipalThingObjects {
		out.Things = append(out.Things, v.ThingName)
	}
	return out, nil
}
