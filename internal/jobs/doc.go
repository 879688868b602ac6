// Package jobs turns an operator's request into an AWS IoT Job and the end of an
// execution into the end of a job execution. It knows nothing of tokens, of USP, or
// of what an operation does to a device.
//
//	create.go   create-job: find the image, take defaults from the job template,
//	            make the job; the same request makes the same job
//	finish.go   finalize: have the flow judge the end, and report it to the job
//	            execution, the thing and the outcome topic
//
// Shapes are event.Request in and event.Created out, event.FinalizeInput in and
// event.Outcome out. Errors of Create that an operator can mend are
// event.Problems, all of them at once, or ErrConflict. What the ports return
// otherwise is passed on and worth a retry; every operation may be repeated.
//
// The job is not created "from" the template. What CreateJob does when both a
// template and a document are given, and whether a custom template's document can
// be completed at all (documentParameters are for AWS's own templates only), is
// not documented. So the template is read, the request laid over it, and the job
// created from the result; that works whatever AWS decides.
package jobs
