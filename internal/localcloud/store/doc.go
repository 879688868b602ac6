// Package store keeps the local cloud's state: ordered keys, values and
// transactions, on disk (Open) or in memory (Memory). It is the only package
// that knows the embedded database.
//
// Transactions are serializable: Update runs one function at a time, View sees one consistent state. When Update
// returns nil, what it wrote survives the death of the process: the operating system has it. Several updates at
// once share one write (group commit). After a power failure the newest updates may be missing, but never an older
// one while a newer one is there; Options.Sync waits for the disk, and then none is missing. When the function
// returns an error nothing is written. At the first write to the disk that fails the store ends, and that update is
// neither acknowledged nor refused (Options.Failed). Do not start a transaction inside another, do not call another
// service inside one, and do not wait in one.
//
// A key is a list of strings in an encoding that keeps their order (Key), so
// that everything below a common beginning lies together. Numbers in a key go
// through Number. Services see their state as tables: NewTable gives typed
// records, held as JSON, under a name that is unique in the whole store.
//
// Layout on disk: key = for each part its bytes with 0x00 written as 0x00 0xFF,
// then 0x00 0x01. The key 0x00 'format' holds the version of the layout.
package store
