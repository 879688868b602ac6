package iam

import (
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// entity is a role or a user.
type entity struct {
	Path        string
	Name        string
	ID          string // AROA..., AIDA...
	ARN         string
	Created     time.Time
	Description string
	Tags        map[string]string `json:",omitempty"`
	// Trust and MaxSession (seconds) are a role's.
	Trust      string `json:",omitempty"`
	MaxSession int    `json:",omitempty"`
	// Boundary is the ARN of the permissions boundary.
	Boundary string `json:",omitempty"`
	// Inline are the embedded policies by name; Attached the ARNs of the
	// managed ones, sorted.
	Inline   map[string]string `json:",omitempty"`
	Attached []string          `json:",omitempty"`
}

// managedPolicy is a policy of its own.
type managedPolicy struct {
	Name, Path, ID, ARN, Description string
	Created, Updated                 time.Time
	Tags                             map[string]string `json:",omitempty"`
	Default                          string
	Next                             int // number of the next version
	Versions                         map[string]policyVersion
}

type policyVersion struct {
	Document string
	Created  time.Time
}

// accessKey belongs to a user.
type accessKey struct {
	ID      string
	Secret  string
	User    string
	Active  bool
	Created time.Time
}

// Roles and users are kept under their name in lower case, because IAM names
// are unique without regard to case.
var (
	roleTable   = store.NewTable[entity]("iam.role").Versions(store.JSON)
	userTable   = store.NewTable[entity]("iam.user").Versions(store.JSON)
	policyTable = store.NewTable[managedPolicy]("iam.policy").Versions(store.JSON) // ARN
	keyTable    = store.NewTable[accessKey]("iam.accesskey").Versions(store.JSON)  // access key ID
	// userKeyTable finds the keys of a user: user, access key ID.
	userKeyTable = store.NewTable[struct{}]("iam.userkey")
	// attachmentTable finds who has a managed policy: ARN, kind, name.
	attachmentTable = store.NewTable[struct{}]("iam.attachment")
)

// kind is what tells roles and users apart.
type kind struct {
	table store.Table[entity]
	name  string // "role"
	title string // "Role"
	id    string // prefix of unique IDs
	limit int    // bytes of all inline policies together
}

var (
	roles = &kind{roleTable, "role", "Role", "AROA", 10240}
	users = &kind{userTable, "user", "User", "AIDA", 2048}
)

func (k *kind) get(tx *store.Tx, name string) (entity, error) {
	e, ok, err := k.table.Get(tx, strings.ToLower(name))
	if err == nil && !ok {
		err = noSuchEntity("The %s with name %s cannot be found.", k.name, name)
	}
	return e, err
}

// getShared is get for those who leave the entity as it is.
func (k *kind) getShared(tx *store.Tx, name string) (entity, error) {
	e, ok, err := k.table.Shared(tx, strings.ToLower(name))
	if err == nil && !ok {
		err = noSuchEntity("The %s with name %s cannot be found.", k.name, name)
	}
	return e, err
}

func (k *kind) put(tx *store.Tx, e entity) error {
	return k.table.Put(tx, e, strings.ToLower(e.Name))
}

func getPolicy(tx *store.Tx, arn string) (managedPolicy, error) {
	if p, ok := awsManagedPolicy(arn); ok {
		return p, nil
	}
	p, ok, err := policyTable.Get(tx, arn)
	if err == nil && !ok {
		err = noSuchEntity("Policy %s was not found.", arn)
	}
	return p, err
}

func (p managedPolicy) document() string { return p.Versions[p.Default].Document }
