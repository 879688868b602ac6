// Package sts is the AWS Security Token Service. It finds out who calls: it checks the
// signature of every request and issues temporary credentials.
//
// A Service answers the STS API (Query protocol) and is
//   - the awsapi.Authenticator: it verifies Signature Version 4 in the
//     Authorization header or in a presigned URL, including S3's unsigned and
//     chunk-signed payloads, of which it checks the first (seed) signature and
//     not those of the chunks; for S3 also presigned URLs of Version 2;
//   - the issuer of temporary credentials for an identity (Issue), as for a
//     Lambda process. They are in the store and expire.
//
// The operator's access key (Config, by default "test" with secret "test")
// is the account's root. Access keys of IAM users come from Keys.
//
// A signature is valid for 15 minutes around its time, a presigned URL for as long as it says,
// at most seven days. With a virtual clock neither is checked, unless Config.VirtualDates is
// set, because clients sign with the machine's clock.
//
// Errors of Authenticate have the codes of awsapi (CodeInvalidToken, ...). No error and no log
// contains a secret or a token. All methods are safe for concurrent use.
//
// Source: AWS Signature Version 4 ("Create a signed AWS API request", "Amazon
// S3: Signature Calculations for the Authorization Header"), STS API Reference.
package sts
