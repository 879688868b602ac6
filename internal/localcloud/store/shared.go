package store

import "sync"

// maxShared is how many records are remembered.
const maxShared = 4096

// sharedRecords are decoded records by their keys, as the store holds them now.
// They are read and put only by transactions that see that state, under the
// store's lock, and forgotten by the update that changes them before it gives
// the lock back.
type sharedRecords struct {
	mu      sync.RWMutex // views put records side by side
	records map[string]any
}

func (s *sharedRecords) get(key []byte) (any, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.records[string(key)]
	return v, ok
}

func (s *sharedRecords) has(key []byte) bool {
	_, ok := s.get(key)
	return ok
}

func (s *sharedRecords) put(key []byte, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil || len(s.records) >= maxShared {
		s.records = map[string]any{}
	}
	s.records[string(key)] = v
}

func (s *sharedRecords) remove(keys []string) {
	if len(keys) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.records, k)
	}
}
