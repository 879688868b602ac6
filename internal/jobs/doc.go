// Package jobs turns an operator's request into an AWS IoT job, and the end of an execution
// into the end of a job execution. It knows neither tokens nor USP, nor what an operation does
// to a device.
//
//	request.go  create-job's payload in all its forms, with its validation
//	create.go   create-job: complete the request, take defaults from the job template,
//	            make the job; the same request makes the same job
//	finish.go   finalize: have the flow judge the end, and report it to the job
//	            execution, the thing and the outcome topic
//
// The flows define which operations there are and what a payload may ask of each (event.Form).
// Create takes a payload and returns a Created. Finish takes an event.FinalizeInput and
// returns an event.Outcome. Mistakes that an operator can correct are event.Problems, all of
// them at once, or ErrConflict. Every other error comes from a port and is worth a retry.
// Every call may be repeated.
//
// The job is not created "from" the job template. It is not documented what CreateJob does
// with both a template and a document, nor whether the document of a custom template can be
// completed (documentParameters are for AWS's own templates only). So Create reads the
// template, puts the request over it, and creates the job from the result. That works in
// either case.
package jobs
