// Package dynamodb is the local cloud's Amazon DynamoDB: tables with a
// partition and an optional sort key, items, conditional writes, queries,
// scans, batches, transactions, time to live and global secondary indexes.
//
// Every write is durable and serializable. Without bad weather all reads of a table are
// strongly consistent, also those that AWS may answer with older data. Reads of an index show
// a write some milliseconds later, in bad weather much later (behind.go). Items are deleted
// within seconds after their time to live has passed, whereas AWS says "within a few days".
// Code that relies on either is wrong on AWS.
//
// Not built, and refused by name: local secondary indexes, index keys of several
// attributes, streams, PartiQL, backups, global tables, on-demand and warm throughput, and the parameters that
// expressions replaced in 2014 (Expected, AttributeUpdates, KeyConditions, ...).
//
// Source: Amazon DynamoDB API reference 2012-08-10.
package dynamodb
