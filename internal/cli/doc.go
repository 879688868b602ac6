// Package cli has the commands of an operator: create a job, look at it, stop it. They
// use the AWS SDK with its usual environment (AWS_REGION, AWS_PROFILE,
// AWS_ENDPOINT_URL, ...), so that they reach AWS and the local cloud by the same calls.
// Nothing here knows which of the two answers.
//
// A command is one file. Output for people goes to Out, one JSON document per
// command with --json; errors are one sentence. Exit codes: 0 done, 1 failed or
// a job with failures, 2 wrong usage.
package cli
