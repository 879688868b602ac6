// Package cloudformation is AWS CloudFormation in the local cloud. It makes the resources of a
// template with the services of the local cloud.
//
// Parse reads a template in JSON or YAML and reports all its errors at once, each with its
// path. One type (work) creates, updates and rolls back a stack, for Service.Deploy, for the
// API and for change sets. It evaluates parameters, rules, conditions and intrinsic functions,
// orders the resources by their references, and creates each through the Provider of its type.
// A provider calls the services as any client does, through awsapi.Caller and with the stack's
// role or the identity that deploys. So a resource of a template and one made over the API are
// the same.
//
// An update changes in place what it can. A replacement is made before the old resource is
// deleted, and nothing is deleted before everything else is done
// (UPDATE_COMPLETE_CLEANUP_IN_PROGRESS). Until then each record keeps the earlier state of its
// resource, so that a failure at any point can be rolled back (undo.go). A creation that fails
// is deleted completely, with resources that were half made. Deploy keeps what was made and
// continues the next time; the API does so if DisableRollback is set.
//
// A resource type or property that no provider knows is an error, unless the provider lists it
// as having no effect here, with the reason (see unused in the tables of the resource_*.go
// files). A feature of CloudFormation that is not built (transforms, nested stacks, imports of
// resources, drift, secrets, ...) is an error that names it.
//
// The state of a stack and its events are stored before each step begins. An operation that
// was interrupted continues where it was.
//
// Errors: a *TemplateError (AWS code ValidationError) lists the mistakes in a template or its
// parameters. A *DeployError names the resource that could not be made and wraps the service's
// error. Operations on one stack wait for each other. Deploy is synchronous and may wait on
// the scheduler for custom resources; operations of the API continue after their answer.
//
// Sources: AWS CloudFormation User Guide, "Template anatomy", "Intrinsic function reference", "Custom resource
// reference", "Update behaviors of stack resources", "Update CloudFormation stacks using change
// sets"; AWS CloudFormation API Reference, version 2010-05-15.
package cloudformation
