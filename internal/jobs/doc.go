// Package jobs turns an operator's request into an AWS IoT job, and the end of an
// execution into the end of a job execution. It knows neither tokens nor USP, nor what
// an operation does to a device.
//
//	request.go  create-job's payload in all its forms, with its validation
//	create.go   create-job: complete the request, take defaults from the job template,
//	            make the job; the same request makes the same job
//	finish.go   finalize: have the flow judge the end, and report it to the job
//	            execution, the thing and the outcome topic
//
// Which operations there are, and what each asks for, the flows say (event.Form). Create
// takes a payload and returns a Created; Finish takes an event.FinalizeInput and returns
// an event.Outcome. Mistakes that an operator can mend are event.Problems, all of them at
// once, or ErrConflict. Every other error comes from a port and is worth a retry. Every
// operation may be repeated.
//
// The job is not created "from" the template. What CreateJob does when both a
// template and a document are given, and whether a custom template's document can
// be completed at all (documentParameters are for AWS's own templates only), is
// not documented. So Create reads the template, puts the request over it, and creates the
// job from the result. That works in either case.
package jobs
