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
// Environment variables are named in package environment. If one is missing, the constructor
// fails and names it. Clients are made from cfg alone: a BaseEndpoint in it (AWS_ENDPOINT_URL)
// overrides every other endpoint, also those of the IoT data planes in the environment. A
// constructor calls no service. Time comes from now. Nothing is random: every name and id is
// derived.
//
// Beside the handlers: env.go is the environment of a function, parts.go makes the clients and
// adapters, orders.go gives package workflow the job executions.
//
// Each invocation writes one JSON log line per decision and its metrics (EMF) to Env.Stdout.
// Neither contains a token or the URL of an image.
package functions
