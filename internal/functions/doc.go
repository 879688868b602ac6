// Package functions wires the contexts to AWS, one constructor per Lambda function:
// New<Name>(ctx, env, cfg, now) returns the handler that lambdas/<name>/main.go
// starts and that a rehearsal calls. This is the only place where jobs, workflow
// and device meet.
//
// A handler takes a payload of a form in events/ and returns what its state machine or
// caller reads. Its errors carry their names as Lambda error types (errors.go): the
// error names of package event, InvalidPayload and JobConflict of create-job, and
// Transient for every error that is worth a retry.
//
// Environment variables are named in package environment; one that is missing is an
// error of the constructor that names it. Clients are made from cfg alone: a
// BaseEndpoint in it (AWS_ENDPOINT_URL) wins everywhere, also over the endpoints of
// the IoT data planes among the variables. Making a handler calls no service. Time
// comes from now. Nothing is random: every name and id is derived.
//
// Beside the handlers: env.go is what a function finds around it, parts.go makes the
// clients and adapters that handlers are joined from, orders.go shows job executions to
// package workflow.
//
// Each invocation writes one JSON log line per decision and its metrics (EMF) to
// Env.Stdout. Neither holds a token or an address of an image.
package functions
