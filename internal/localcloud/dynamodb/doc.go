// Package dynamodb is the local cloud's Amazon DynamoDB: tables with a
// partition and an optional sort key, items, conditional writes, queries,
// scans, batches, transactions, time to live and global secondary indexes.
//
// Every write is durable and serializable. Reads of a table are strongly
// consistent in fair weather (AWS's eventually consistent ones may lag; a caller
// cannot tell); reads of an index show a write some milliseconds after it, and
// much later in bad weather (behind.go). Items whose time to live has passed are
// deleted within seconds of it, where AWS says "within a few days": code that
// relies on either is wrong on AWS too.
//
// Not built, and refused by name: local secondary indexes, index keys of several
// attributes, streams, PartiQL, backups, global tables, and the parameters that
// expressions replaced in 2014 (Expected, AttributeUpdates, KeyConditions, ...).
//
// Source: Amazon DynamoDB API reference 2012-08-10.
package dynamodb
