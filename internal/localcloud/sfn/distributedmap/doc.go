// Package distributedmap has the formats of a distributed Map state, as bytes and documents:
// objects that an ItemReader fetches, manifests that name further ones, and the files and the
// manifest of a ResultWriter. Package sfn fetches and stores them; this package does no I/O.
//
//	reader.go   what is fetched: Unzip, Inventory, Athena, Listing
//	writer.go   what is stored: Results, Files, Manifest
//
// Errors are AWS's (InvalidObject, InvalidManifest). Source: Step Functions developer guide, "ItemReader (Map)",
// "ResultWriter (Map)"; Amazon S3 user guide, "Inventory manifest".
package distributedmap
