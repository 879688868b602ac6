package rulesql

import (
	"crypto/sha256"
	"sync"

	"google.golang.org/protobuf/reflect/protoregistry"
)

// descriptorCache keeps descriptor sets that were parsed before, by content:
// it holds no state that an evaluation could see.
var descriptorCache parsedDescriptors

const maxCached = 64

type parsedDescriptors struct {
	mu    sync.Mutex
	files map[[32]byte]*protoregistry.Files
}

func (c *parsedDescriptors) get(set []byte) (*protoregistry.Files, bool) {
	key := sha256.Sum256(set)
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.files[key]
	return f, ok
}

func (c *parsedDescriptors) put(set []byte, f *protoregistry.Files) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files == nil || len(c.files) >= maxCached {
		c.files = map[[32]byte]*protoregistry.Files{}
	}
	c.files[sha256.Sum256(set)] = f
}
