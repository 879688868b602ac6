package sts

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// session is one set of temporary credentials.
type session struct {
	Secret   string
	Token    string
	Identity awsapi.Identity
	Expires  time.Time
}

var (
	sessionTable = store.NewTable[session]("sts.session").Versions(store.JSON) // access key ID
	// expiryTable finds sessions by their end: seconds, access key ID.
	expiryTable = store.NewTable[struct{}]("sts.expiry")
)

// keptAfterExpiry is how long expired credentials are remembered, so that
// their use is answered with ExpiredToken.
const keptAfterExpiry = 12 * time.Hour
