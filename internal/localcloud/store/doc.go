// Package store keeps the local cloud's state: ordered keys, values and
// transactions, on disk (Open) or in memory (Memory). It is the only package
// that knows the embedded database.
//
// Transactions are serializable: Update runs one function at a time, View sees one consistent
// state. If the function of an Update returns an error, nothing is written. When Update
// returns nil, the operating system has what was written, and it survives the end of the
// process. Several updates share one write (group commit). After a power failure the newest
// updates may be missing, but never an older one without the newer ones. With Options.Sync,
// Update waits for the disk and none is missing. After the first failed write to the disk the
// store ends, and that update is neither acknowledged nor refused (Options.Failed). In a
// transaction, do not start another, do not call another service, and do not wait.
//
// A key is a list of strings in an encoding that keeps their order (Key), so that everything
// with a common beginning is together. Numbers in a key are made by Number. Services use
// tables: NewTable gives typed records, stored as JSON, with a name that is unique in the
// whole store.
//
// Layout on disk: key = for each part its bytes with 0x00 written as 0x00 0xFF,
// then 0x00 0x01. The key 0x00 'format' holds the version of the layout.
package store
