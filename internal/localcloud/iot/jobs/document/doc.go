// Package document is the job document of AWS IoT Jobs: text of 1 to 32,768 bytes that is
// JSON, with placeholders ${aws:iot:NAME:ARGUMENT} that become presigned URLs when a device
// asks for the document. The package checks a document, splits it at its placeholders, and
// parses the URLs of S3 objects. It signs nothing and does no I/O.
//
// Errors are sentences for the caller who gave the document, or NotBuilt. Source: AWS IoT
// developer guide, "Managing job documents", "Presigned URLs for managed job documents".
package document
