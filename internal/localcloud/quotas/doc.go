// Package quotas holds the local cloud to what an account may do on AWS: so many
// calls a second of each operation, with the burst that its token bucket allows,
// and so many functions at once. What is more is refused as that service refuses
// it; a client that tries again, as the SDKs do, gets through a little later.
//
// table.go has the quotas, each with the page that gives it. The account is one of
// us-east-1, as it is made by default, or a new one, which AWS lets do less.
//
// A bucket is refilled on the scheduler's clock. What the account's root asks from
// inside the process does not count: it is who builds a rehearsal's world.
//
// Report says for each quota how near it the busiest second came.
package quotas
