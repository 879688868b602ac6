// Package quotas limits the local cloud to the quotas of an AWS account: calls a second of
// each operation, with the burst of its token bucket, and functions at once. More calls are
// refused as that service refuses them. A client that tries again, as the SDKs do, succeeds a
// little later.
//
// table.go has the quotas, each with its source. The account is a default account of
// us-east-1, or a new one, for which AWS allows less.
//
// A bucket is refilled by the scheduler's clock. Calls of the account's root from inside the
// process do not count, because they build the world of a rehearsal.
//
// Report has the highest use of each quota.
package quotas
