// Package fleetindex is the query language of AWS IoT fleet indexing, version 2017-09-30, as
// SearchIndex and dynamic thing groups use it:
//
//	thingName:cpe* AND attributes.model:(X1 OR X2)
//	connectivity.connected:true NOT thingGroupNames:"lab"
//	attributes.version > 5    shadow.reported.temp:[10 TO 20}
//
// A term is a word, a "phrase", a word with * and ?, a range, or a comparison. It may begin
// with a field; otherwise every field is searched. Terms side by side are joined by AND. AND
// binds more tightly than OR, NOT and - more tightly than both. Field names are compared with
// regard to case, values without. Numbers are compared as numbers if both sides are numbers.
//
// Limits: 1,000 characters, 12 terms, two * and five ? in a term. A leading
// wildcard is allowed only in a query of a single term up to 100 characters.
//
// Parse returns a Query, which does not change and may be used concurrently. String writes it
// in a form that Parse reads back to the same tree. Errors are *SyntaxError with the position
// in bytes.
//
// Source: AWS IoT developer guide, "Query syntax", "Example thing queries".
package fleetindex
