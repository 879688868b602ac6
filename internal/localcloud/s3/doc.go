// Package s3 is the local cloud's Amazon S3: buckets, objects, versions,
// multipart uploads, bucket policies and presigned URLs, path-style.
//
// The REST API over HTTP is github.com/johannesboyne/gofakes3; this package
// puts our store under it, asks for permission before it, and refuses by name
// the subresources that it does not know and would mistake for a listing.
// The lists of a bucket's keys are answered here (list.go, list_http.go): they jump over what is
// behind a common prefix.
// Other services of the local cloud use the same buckets through operations
// without an HTTP binding (GetObject, PutObject, ListObjectsV2, ...).
//
// Bodies are files in Config.BlobDir, named by a random id and written before
// the object's record; without a BlobDir they are in the store. Bodies whose
// record was never written are removed at Start.
//
// The parts of a multipart upload are bodies too, until it is completed or
// aborted (multipart.go); a restart changes nothing.
//
// Source: Amazon S3 API reference 2006-03-01.
package s3
