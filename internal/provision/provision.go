// Package provision registers devices in AWS IoT: for each a thing, a certificate with the
// device policy, and membership of a thing group. It is for simulated devices and for trials
// on a bench, on AWS or on the local cloud. Factories have their own process.
//
// A device's key never leaves this process: it sends a certificate signing request and gets
// AWS IoT's certificate. Everything may be repeated; a thing that exists is kept and gets a
// further certificate. The thing's attribute endpointId names the USP endpoint of its device,
// so that no other device can use it. The caller may give further attributes.
//
// Source: AWS IoT Core developer guide, "Create AWS IoT client certificates".
package provision

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"golang.org/x/sync/errgroup"

	"github.com/fleetstep/fleetstep/internal/event"
)

// API is what is used of AWS IoT; *iot.Client is it.
type API interface {
	CreateThing(context.Context, *iot.CreateThingInput, ...func(*iot.Options)) (*iot.CreateThingOutput, error)
	UpdateThing(context.Context, *iot.UpdateThingInput, ...func(*iot.Options)) (*iot.UpdateThingOutput, error)
	CreateThingGroup(context.Context, *iot.CreateThingGroupInput, ...func(*iot.Options)) (*iot.CreateThingGroupOutput,
		error)
	CreateCertificateFromCsr(context.Context, *iot.CreateCertificateFromCsrInput, ...func(*iot.Options)) (
		*iot.CreateCertificateFromCsrOutput, error)
	AttachPolicy(context.Context, *iot.AttachPolicyInput, ...func(*iot.Options)) (*iot.AttachPolicyOutput, error)
	AttachThingPrincipal(context.Context, *iot.AttachThingPrincipalInput, ...func(*iot.Options)) (
		*iot.AttachThingPrincipalOutput, error)
	AddThingToThingGroup(context.Context, *iot.AddThingToThingGroupInput, ...func(*iot.Options)) (
		*iot.AddThingToThingGroupOutput, error)
}

// Fleet says what to provision.
type Fleet struct {
	Things []string
	Policy string // AWS IoT policy for each certificate
	// Endpoint gives a thing's USP endpoint id. Nil, or "", leaves it to the
	// device's first greeting.
	Endpoint func(thing string) event.EndpointID
	// Attributes are further attributes of each thing, merged into those it has:
	// the firmware that it runs, say, for dynamic thing groups.
	Attributes map[string]string
	Group      string // thing group, made if missing; "" for none
	// Parallel is how many devices are made at a time; 0 means 8. AWS allows
	// 100 calls a second and operation.
	Parallel int
}

// Result is a provisioned fleet.
type Result struct {
	Certificates map[string]tls.Certificate // by thing
	GroupARN     string
}

// Devices provisions a fleet. The first error ends it; what was made until
// then stays, and is kept by the next call.
func Devices(ctx context.Context, api API, f Fleet) (*Result, error) {
	r := &Result{Certificates: make(map[string]tls.Certificate, len(f.Things))}
	if f.Group != "" {
		out, err := api.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: &f.Group})
		// A group that exists with other properties is the group all the same.
		if exists, ok := errors.AsType[*types.ResourceAlreadyExistsException](err); ok {
			r.GroupARN = aws.ToString(exists.ResourceArn)
		} else if err != nil {
			return nil, fmt.Errorf("provision: create thing group %s: %w", f.Group, err)
		} else {
			r.GroupARN = aws.ToString(out.ThingGroupArn)
		}
	}
	if f.Parallel == 0 {
		f.Parallel = 8
	}
	certificates := make([]tls.Certificate, len(f.Things))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.Parallel)
	for i, thing := range f.Things {
		g.Go(func() (err error) {
			certificates[i], err = device(ctx, api, f, thing)
			if err != nil {
				err = fmt.Errorf("provision: thing %s: %w", thing, err)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, thing := range f.Things {
		r.Certificates[thing] = certificates[i]
	}
	return r, nil
}

func device(ctx context.Context, api API, f Fleet, thing string) (tls.Certificate, error) {
	var none tls.Certificate
	var attributes *types.AttributePayload
	all := maps.Clone(f.Attributes)
	if f.Endpoint != nil && f.Endpoint(thing) != "" {
		if all == nil {
			all = map[string]string{}
		}
		all[event.ThingEndpointAttribute] = f.Endpoint(thing).Attribute()
	}
	if len(all) > 0 {
		attributes = &types.AttributePayload{Attributes: all, Merge: true}
	}
	_, err := api.CreateThing(ctx, &iot.CreateThingInput{ThingName: &thing, AttributePayload: attributes})
	// A thing that exists with other attributes is the device all the same.
	_, exists := errors.AsType[*types.ResourceAlreadyExistsException](err)
	if err != nil && !exists {
		return none, fmt.Errorf("create thing: %w", err)
	}
	if exists && attributes != nil {
		if _, err := api.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: &thing,
			AttributePayload: attributes}); err != nil {
			return none, fmt.Errorf("update thing: %w", err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: thing}}, key)
	if err != nil {
		return none, err
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	made, err := api.CreateCertificateFromCsr(ctx,
		&iot.CreateCertificateFromCsrInput{CertificateSigningRequest: aws.String(string(request)), SetAsActive: true})
	if err != nil {
		return none, fmt.Errorf("create certificate: %w", err)
	}
	if _, err := api.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: &f.Policy,
		Target: made.CertificateArn}); err != nil {
		return none, fmt.Errorf("attach policy %s: %w", f.Policy, err)
	}
	if _, err := api.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: &thing,
		Principal: made.CertificateArn}); err != nil {
		return none, fmt.Errorf("attach certificate: %w", err)
	}
	if f.Group != "" {
		if _, err := api.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingName: &thing,
			ThingGroupName: &f.Group}); err != nil {
			return none, fmt.Errorf("add to group %s: %w", f.Group, err)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return none, err
	}
	return tls.X509KeyPair([]byte(aws.ToString(made.CertificatePem)),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
