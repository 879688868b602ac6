// Package cli is the fleetstep command's operator half: create a job, see
// it, stop it. Its commands use the AWS SDK with its usual environment
// (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, ...), so that they reach AWS and
// the local cloud by the same calls; nothing here knows which of the two
// answers.
//
// A command is one file. Output for people goes to Out, one JSON document per
// command with --json; errors are one sentence. Exit codes: 0 done, 1 failed or
// a job with failures, 2 wrong usage.
package cli
