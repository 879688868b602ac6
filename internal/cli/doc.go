// Package cli has the operator's commands: create, describe, watch, pause and cancel jobs,
// redrive dead letters, and handle operations. They use the AWS SDK with its usual environment
// (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, ...), so that the same calls reach AWS and the
// local cloud. The package does not know which of the two answers.
//
// A command is one file. Output for people goes to Out, one JSON document per
// command with --json; errors are one sentence. Exit codes: 0 done, 1 failed or
// a job with failures, 2 wrong usage, 3 nobody in the target, 130 interrupted.
package cli
