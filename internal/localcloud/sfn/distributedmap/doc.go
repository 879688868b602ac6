// Package distributedmap is what a distributed Map state reads its items from and writes its results to, as bytes and
// documents: objects that an ItemReader fetches, manifests that name further ones, and the files and manifest of a
// ResultWriter. Package sfn fetches and stores them; here is no I/O.
//
//	reader.go   what is fetched: Unzip, Inventory, Athena, Listing
//	writer.go   what is stored: Results, Files, Manifest
//
// Errors are AWS's (InvalidObject, InvalidManifest). Source: Step Functions developer guide, "ItemReader (Map)",
// "ResultWriter (Map)"; Amazon S3 user guide, "Inventory manifest".
package distributedmap
