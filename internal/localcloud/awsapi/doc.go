// Package awsapi has the protocols between AWS clients and the services of the local cloud. A
// service describes its operations as values (Service, Operation). This package decodes
// requests into them, finds out who calls, asks whether the caller may, runs the operation and
// encodes the answer. It does so in each protocol that AWS uses: AWS JSON 1.0 and 1.1,
// REST-JSON, REST-XML, Query and Smithy RPC v2 CBOR.
//
// Input and output of an operation are Go structs. A member's name is its json
// tag, spelled as AWS spells it on the wire. Further tags bind REST members:
//
//	uri:"thingName"       path label           query:"maxResults"  query string
//	header:"X-Amz-Target" header               payload:"raw"       the body itself ([]byte or string)
//	payload:"json"        the member is the whole JSON body
//	status:"true"         output: HTTP status (int)
//	header:"X-Amz-Meta-*" map of the headers that begin so
//	query:"*"             map of the whole query string
//	xml:"Attribute,flat,key=Name,value=Value"
//	                      Query and XML: the member's name there, if it differs;
//	                      flat lists and maps have no <member> or <entry> level;
//	                      key and value name the parts of a map's entries
//
// What members take is said by further tags, api:"...", see package constraint; an
// input that breaks one is refused before anything else is asked.
//
// Times are Time: epoch seconds in JSON, ISO 8601 in XML, tag 1 in CBOR. Blobs
// are []byte: base64 in JSON and XML. Absent members are nil pointers, maps,
// slices, or zero values with omitempty.
//
// Services call each other through Caller, with the identity they act under, and get the same
// authorisation as a request from outside.
package awsapi
