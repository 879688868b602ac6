// Package cloudformation makes the resources of a CloudFormation template out of the services of the local cloud.
//
// Parse reads a template in JSON or YAML and finds all its errors at once, each with its path. A
// stack is made, changed and undone by one piece of code (work), whether Service.Deploy, the API or
// a change set asked for it: it evaluates parameters, rules, conditions and intrinsic functions,
// orders the resources by what they refer to, and creates each through the Provider of its type. A
// provider calls the services as any client would, through awsapi.Caller and under the stack's role
// or the identity that deploys, so that a resource of a template and one made over the API are the
// same thing.
//
// An update changes in place what can be, makes what must be replaced anew before the old one goes,
// and deletes only once everything else is done (UPDATE_COMPLETE_CLEANUP_IN_PROGRESS). Until then
// each record keeps what the resource was, so that a failure at any point brings the stack back
// (undo.go). A creation that fails is deleted whole, the half of a resource included. Deploy keeps
// what was made and goes on the next time; the API does so when told (DisableRollback).
//
// A resource type or property that no provider knows is an error, unless the provider lists it as
// having no effect here together with the reason (see unused in the tables of the resource_*.go
// files). What CloudFormation itself has and this package has not (transforms, nested stacks,
// imports of resources, drift, secrets, ...) is an error that names it.
//
// The state of every stack is in the store before what it says is begun, and so are the events; an
// operation that was cut short goes on where it was.
//
// Errors: a *TemplateError (AWS code ValidationError) lists what is wrong with a template or with its parameters; a
// *DeployError names the resource that could not be made and wraps the service's error. Operations
// on one stack wait for each other; Deploy is synchronous and may wait on the scheduler for custom
// resources, the API works behind its answers.
//
// Sources: AWS CloudFormation User Guide, "Template anatomy", "Intrinsic function reference", "Custom resource
// reference", "Update behaviors of stack resources", "Update CloudFormation stacks using change
// sets"; AWS CloudFormation API Reference, version 2010-05-15.
package cloudformation
