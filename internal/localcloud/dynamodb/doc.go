// Package dynamodb is the local cloud's Amazon DynamoDB: tables with a
// partition and an optional sort key, items, conditional writes, queries,
// scans, batches, transactions and time to live.
//
// Every write is durable and serializable, every read strongly consistent
// (AWS's eventually consistent reads may lag; a caller cannot tell). Items
// whose time to live has passed are deleted within seconds of it, where AWS
// says "within a few days": code that relies on either is wrong on AWS too.
//
// Not built, and refused by name: secondary indexes, streams, PartiQL,
// backups, global tables, and the parameters that expressions replaced in 2014
// (Expected, AttributeUpdates, KeyConditions, ...).
//
// Source: Amazon DynamoDB API reference 2012-08-10.
package dynamodb
