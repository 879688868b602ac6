package campaigntest_test

import (
	"testing"

	"github.com/fleetstep/fleetstep/internal/campaign/campaigntest"
)

func TestMemoryIsAStoreAndAManifest(t *testing.T) {
	campaigntest.Stores(t, &campaigntest.Memory{})
	campaigntest.Manifests(t, &campaigntest.Memory{})
}
