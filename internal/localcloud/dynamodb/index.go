package dynamodb

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Limits of indexes (developer guide, "Quotas in Amazon DynamoDB", 2026-11).
const (
	maxIndexes    = 20
	maxNonKey     = 20  // attributes that one index includes
	maxNonKeysAll = 100 // and all indexes of a table together
)

// index is a global secondary index of a table. Its entries lie under its ID, so
// that a new index of the same name begins empty.
type index struct {
	Name        string
	ID          string
	Partition   keyAttribute
	Sort        keyAttribute // Name "" if there is none
	Projection  string       // ALL, KEYS_ONLY, INCLUDE
	NonKey      []string     `json:",omitempty"` // that INCLUDE includes, sorted
	Read, Write int64
	Phase       phase
	Cursor      []byte `json:",omitempty"` // the key of the last item that was looked at while it is backfilled
}

// phase is how far the making or the end of an index is.
type phase string

const (
	active      phase = ""
	allocating  phase = "allocating"  // nothing is written to it yet
	backfilling phase = "backfilling" // what is written to the table is; the rest is being added
	deleting    phase = "deleting"
)

// status is the IndexStatus of a phase; Backfilling is told only of an index that UpdateTable is making.
func (p phase) status() (status string, backfills *bool) {
	yes, no := true, false
	switch p {
	case allocating:
		return "CREATING", &no
	case backfilling:
		return "CREATING", &yes
	case deleting:
		return "DELETING", nil
	}
	return "ACTIVE", nil
}

type projectionIn struct {
	ProjectionType   string   `json:"ProjectionType,omitempty" api:"values=ALL|INCLUDE|KEYS_ONLY"`
	NonKeyAttributes []string `json:"NonKeyAttributes,omitempty" api:"each.min=1,each.max=255"`
}

type indexIn struct {
	IndexName             string             `json:"IndexName" api:"min=3,max=255,pattern=table name"`
	KeySchema             []keySchemaElement `json:"KeySchema"`
	Projection            *projectionIn      `json:"Projection"`
	ProvisionedThroughput *throughput        `json:"ProvisionedThroughput,omitempty"`
	OnDemandThroughput    any                `json:"OnDemandThroughput,omitempty"`
	WarmThroughput        any                `json:"WarmThroughput,omitempty"`
}

type indexUpdate struct {
	Create *indexIn `json:"Create,omitempty"`
	Update *struct {
		IndexName             string      `json:"IndexName" api:"min=3,max=255,pattern=table name"`
		ProvisionedThroughput *throughput `json:"ProvisionedThroughput,omitempty"`
	} `json:"Update,omitempty"`
	Delete *struct {
		IndexName string `json:"IndexName" api:"min=3,max=255,pattern=table name"`
	} `json:"Delete,omitempty"`
}

type indexDescription struct {
	IndexName             string             `json:"IndexName"`
	IndexArn              string             `json:"IndexArn"`
	IndexStatus           string             `json:"IndexStatus"`
	Backfilling           *bool              `json:"Backfilling,omitempty"`
	KeySchema             []keySchemaElement `json:"KeySchema"`
	Projection            projectionIn       `json:"Projection"`
	ProvisionedThroughput throughput         `json:"ProvisionedThroughput"`
	ItemCount             int64              `json:"ItemCount"`
	IndexSizeBytes        int64              `json:"IndexSizeBytes"`
}

func keySchema(partition, sort keyAttribute) []keySchemaElement {
	schema := []keySchemaElement{{partition.Name, "HASH"}}
	if sort.Name != "" {
		schema = append(schema, keySchemaElement{sort.Name, "RANGE"})
	}
	return schema
}

func (s *Service) describeIndex(tx *store.Tx, t *table, x *index) (indexDescription, error) {
	c, _, err := counters.Get(tx, x.ID)
	d := indexDescription{
		IndexName: x.Name, IndexArn: s.arn(t.Name) + "/index/" + x.Name,
		KeySchema:             keySchema(x.Partition, x.Sort),
		Projection:            projectionIn{x.Projection, x.NonKey},
		ProvisionedThroughput: throughput{ReadCapacityUnits: x.Read, WriteCapacityUnits: x.Write},
		ItemCount:             c.Items, IndexSizeBytes: c.Bytes,
	}
	d.IndexStatus, d.Backfilling = x.Phase.status()
	return d, err
}

// index finds an index by its name; nil if the table has none of it.
func (t *table) index(name string) *index {
	for i := range t.Indexes {
		if t.Indexes[i].Name == name {
			return &t.Indexes[i]
		}
	}
	return nil
}

// busy is an index of the table that is being made or deleted, nil if there is none.
func (t *table) busy() *index {
	for i := range t.Indexes {
		if t.Indexes[i].Phase != active {
			return &t.Indexes[i]
		}
	}
	return nil
}

// status is the TableStatus: UPDATING while an index is allocated or deleted, and ACTIVE again while one is
// backfilled.
func (t *table) status() string {
	for i := range t.Indexes {
		if p := t.Indexes[i].Phase; p == allocating || p == deleting {
			return "UPDATING"
		}
	}
	return "ACTIVE"
}

// attributes are the definitions of all key attributes, by name.
func (t *table) attributes() map[string]expr.Kind {
	kinds := map[string]expr.Kind{}
	add := func(attributes ...keyAttribute) {
		for _, a := range attributes {
			if a.Name != "" {
				kinds[a.Name] = a.Kind
			}
		}
	}
	add(t.Partition, t.Sort)
	for _, x := range t.Indexes {
		add(x.Partition, x.Sort)
	}
	return kinds
}

var validIndexName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// invalid is an error of the kind that most wrong parameters have.
func invalid(format string, args ...any) *awsapi.Error {
	return errValidation("One or more parameter values were invalid: "+format, args...)
}

// broken is an error in a member of the input, as the check of its shape words it.
func broken(value any, path, rule string) *awsapi.Error {
	shown := "null"
	if t, ok := value.(string); ok {
		shown = "'" + t + "'"
	}
	return errValidation("1 validation error detected: Value %s at '%s' failed to satisfy constraint: %s", shown, path,
		rule)
}

func list(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

// checkShape checks what needs no knowledge of the table; path is where the index stands in the input.
func (in *indexIn) checkShape(path string) error {
	switch {
	case in.IndexName == "":
		return broken(nil, path+".indexName", "Member must not be null")
	case len(in.IndexName) < 3:
		return broken(in.IndexName, path+".indexName", "Member must have length greater than or equal to 3")
	case len(in.IndexName) > 255:
		return broken(in.IndexName, path+".indexName", "Member must have length less than or equal to 255")
	case !validIndexName.MatchString(in.IndexName):
		return broken(in.IndexName, path+".indexName",
			"Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	case in.KeySchema == nil:
		return broken(nil, path+".keySchema", "Member must not be null")
	case len(in.KeySchema) == 0:
		return broken("[]", path+".keySchema", "Member must have length greater than or equal to 1")
	case in.Projection == nil:
		return broken(nil, path+".projection", "Member must not be null")
	case in.Projection.NonKeyAttributes != nil && len(in.Projection.NonKeyAttributes) == 0:
		return broken("[]", path+".projection.nonKeyAttributes",
			"Member must have length greater than or equal to 1")
	case len(in.Projection.NonKeyAttributes) > maxNonKey:
		return broken(list(in.Projection.NonKeyAttributes), path+".projection.nonKeyAttributes",
			"Member must have length less than or equal to "+strconv.Itoa(maxNonKey))
	case in.OnDemandThroughput != nil || in.WarmThroughput != nil:
		return awsapi.NotBuilt("OnDemandThroughput and WarmThroughput of indexes")
	}
	if p := in.ProvisionedThroughput; p != nil {
		return p.check(path + ".provisionedThroughput")
	}
	return nil
}

func (p *throughput) check(path string) error {
	const rule = "Member must have value greater than or equal to 1"
	if p.WriteCapacityUnits < 1 {
		return broken(strconv.FormatInt(p.WriteCapacityUnits, 10), path+".writeCapacityUnits", rule)
	}
	if p.ReadCapacityUnits < 1 {
		return broken(strconv.FormatInt(p.ReadCapacityUnits, 10), path+".readCapacityUnits", rule)
	}
	return nil
}

// keysOf reads a key schema of an index with the types that its attributes are defined with.
func (in *indexIn) keysOf(kinds map[string]expr.Kind) (partition, sort keyAttribute, err error) {
	names := make([]string, len(in.KeySchema))
	for i, k := range in.KeySchema {
		names[i] = k.AttributeName
	}
	for _, name := range names {
		if _, ok := kinds[name]; !ok {
			return partition, sort, invalid("Some index key attributes are not defined in AttributeDefinitions. "+
				"Keys: %s, AttributeDefinitions: %s", list(names), list(slices.Sorted(maps.Keys(kinds))))
		}
	}
	switch first := in.KeySchema[0]; {
	case first.KeyType != "HASH":
		return partition, sort, errValidation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(in.KeySchema) > 1 && names[0] == names[1]:
		return partition, sort, errValidation(
			"Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case len(in.KeySchema) > 2 || len(in.KeySchema) == 2 && in.KeySchema[1].KeyType == "HASH":
		return partition, sort, awsapi.NotBuilt("index keys of several attributes (KeySchema of " + in.IndexName + ")")
	case len(in.KeySchema) == 2 && in.KeySchema[1].KeyType != "RANGE":
		return partition, sort, errValidation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	partition = keyAttribute{names[0], kinds[names[0]]}
	if len(names) == 2 {
		sort = keyAttribute{names[1], kinds[names[1]]}
	}
	return partition, sort, nil
}

// check reads the projection.
func (p *projectionIn) check() (projection string, nonKey []string, err error) {
	switch given := p.NonKeyAttributes != nil; {
	case p.ProjectionType == "":
		return "", nil, invalid("Unknown ProjectionType: null")
	case p.ProjectionType == "INCLUDE" && !given:
		return "", nil, invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	case p.ProjectionType != "INCLUDE" && given:
		return "", nil, invalid("ProjectionType is %s, but NonKeyAttributes is specified", p.ProjectionType)
	}
	nonKey = slices.Sorted(slices.Values(p.NonKeyAttributes))
	for i := range nonKey {
		if i > 0 && nonKey[i] == nonKey[i-1] {
			return "", nil, invalid("Duplicate element in NonKeyAttributes: %s", nonKey[i])
		}
	}
	return p.ProjectionType, nonKey, nil
}

// newIndex makes an index of a checked shape for a table.
func (s *Service) newIndex(t *table, in *indexIn, kinds map[string]expr.Kind) (x index, err error) {
	x = index{Name: in.IndexName}
	if x.Partition, x.Sort, err = in.keysOf(kinds); err != nil {
		return x, err
	}
	if x.Projection, x.NonKey, err = in.Projection.check(); err != nil {
		return x, err
	}
	included := len(x.NonKey)
	for _, other := range t.Indexes {
		included += len(other.NonKey)
	}
	if included > maxNonKeysAll {
		return x, invalid("Number of NonKeyAttributes of all indexes exceeds the per-table limit of %d", maxNonKeysAll)
	}
	if p := in.ProvisionedThroughput; p != nil {
		x.Read, x.Write = p.ReadCapacityUnits, p.WriteCapacityUnits
	}
	x.ID = s.Scheduler.UUID()
	return x, nil
}

// setIndexes gives a new table its indexes.
func (s *Service) setIndexes(t *table, in *createTableIn, kinds map[string]expr.Kind) error {
	if in.GlobalSecondaryIndexes == nil {
		return nil
	}
	if len(in.GlobalSecondaryIndexes) == 0 {
		return invalid("List of GlobalSecondaryIndexes is empty")
	}
	for i := range in.GlobalSecondaryIndexes {
		x, err := s.newIndex(t, &in.GlobalSecondaryIndexes[i], kinds)
		if err != nil {
			return err
		}
		given := in.GlobalSecondaryIndexes[i].ProvisionedThroughput != nil
		switch onDemand := in.BillingMode == "PAY_PER_REQUEST"; {
		case t.index(x.Name) != nil:
			return invalid("Duplicate index name: %s", x.Name)
		case onDemand && given:
			return invalid("ProvisionedThroughput should not be specified for index: %s when BillingMode is "+
				"PAY_PER_REQUEST", x.Name)
		case !onDemand && !given:
			return invalid("ProvisionedThroughput is not specified for index: %s", x.Name)
		}
		t.Indexes = append(t.Indexes, x)
	}
	if len(t.Indexes) > maxIndexes {
		return invalid("GlobalSecondaryIndex count exceeds the per-table limit of %d", maxIndexes)
	}
	return nil
}

// name is the index that an update is about; the update does exactly one thing.
func (u *indexUpdate) name() (string, error) {
	n, name := 0, ""
	if u.Create != nil {
		n, name = n+1, u.Create.IndexName
	}
	if u.Update != nil {
		n, name = n+1, u.Update.IndexName
	}
	if u.Delete != nil {
		n, name = n+1, u.Delete.IndexName
	}
	switch n {
	case 0:
		return "", invalid("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, " +
			"GlobalSecondaryIndexUpdate.Delete must not be null")
	case 1:
		return name, nil
	}
	return "", invalid("Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")
}

var errOneIndexAtATime = awsapi.Errorf("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can "+
	"be created or deleted simultaneously per table")

func errInUse(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ResourceInUseException", "Attempt to change a resource which is still in use: "+format,
		args...)
}

// checkIndexUpdates checks what needs no knowledge of the table, and counts the indexes that are to be made or
// deleted.
func (in *updateTableIn) checkIndexUpdates() (made int, err error) {
	if in.GlobalSecondaryIndexUpdates != nil && len(in.GlobalSecondaryIndexUpdates) == 0 {
		return 0, invalid("List of GlobalSecondaryIndexUpdates is empty")
	}
	seen := map[string]bool{}
	for i := range in.GlobalSecondaryIndexUpdates {
		u := &in.GlobalSecondaryIndexUpdates[i]
		name, err := u.name()
		if err != nil {
			return 0, err
		}
		path := "globalSecondaryIndexUpdates." + strconv.Itoa(i+1) + ".member"
		if u.Create != nil {
			err = u.Create.checkShape(path + ".create")
		} else if name == "" {
			err = broken(nil, path+".indexName", "Member must not be null")
		}
		if u.Update != nil && err == nil && u.Update.ProvisionedThroughput != nil {
			err = u.Update.ProvisionedThroughput.check(path + ".update.provisionedThroughput")
		}
		switch {
		case err != nil:
			return 0, err
		case seen[name]:
			return 0, invalid("Only one global secondary index update per index is allowed simultaneously. Index: %s",
				name)
		case u.Update == nil:
			made++
		}
		seen[name] = true
	}
	if made > 0 {
		switch {
		case in.ProvisionedThroughput != nil:
			return 0, invalid("You cannot create or delete index while updating table IOPS")
		case in.DeletionProtectionEnabled != nil:
			return 0, invalid("DeletionProtection modification must be the only operation in the request")
		case in.SSESpecification != nil:
			return 0, invalid("Server-Side Encryption modification must be the only operation in the request")
		case in.TableClass != "":
			return 0, invalid("TableClass modification must be the only operation in the request")
		}
	}
	if made > 1 {
		return 0, errOneIndexAtATime
	}
	return made, nil
}

// updateIndexes changes the indexes of a table. The index that is made or deleted is worked on from the commit on.
func (s *Service) updateIndexes(tx *store.Tx, t *table, in *updateTableIn, made int) error {
	if made > 0 {
		if x := t.busy(); x != nil {
			for _, u := range in.GlobalSecondaryIndexUpdates {
				if u.Delete != nil && u.Delete.IndexName == x.Name && x.Phase == allocating {
					return errInUse("Index creation is in resource allocation phase. Retry deletion during "+
						"backfilling phase or when the index is active. Table: %s Index: %s", t.Name, x.Name)
				}
				if u.Delete != nil && u.Delete.IndexName == x.Name && x.Phase == backfilling {
					return s.deleteIndex(tx, t, x)
				}
			}
			return errOneIndexAtATime
		}
	}
	for _, u := range in.GlobalSecondaryIndexUpdates {
		var err error
		switch {
		case u.Create != nil:
			err = s.createIndex(tx, t, u.Create, in.AttributeDefinitions)
		case u.Delete != nil:
			x := t.index(u.Delete.IndexName)
			if x == nil {
				return errNoIndex(t, u.Delete.IndexName)
			}
			err = s.deleteIndex(tx, t, x)
		default:
			err = t.updateIndex(u.Update.IndexName, u.Update.ProvisionedThroughput)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func errNoIndex(t *table, name string) *awsapi.Error {
	return awsapi.Errorf("ResourceNotFoundException", "Requested resource not found: Index %s for table %s", name,
		t.Name)
}

func (s *Service) createIndex(tx *store.Tx, t *table, in *indexIn, definitions []attributeDefinition) error {
	switch {
	case t.index(in.IndexName) != nil:
		return errValidation("Attempting to create an index which already exists")
	case len(t.Indexes) >= maxIndexes:
		return awsapi.Errorf("LimitExceededException",
			"Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table limit of %d", maxIndexes)
	case len(definitions) == 0:
		return invalid("AttributeDefinitions is not specified for index: %s", in.IndexName)
	case t.BillingMode != "PAY_PER_REQUEST" && in.ProvisionedThroughput == nil:
		return invalid("Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: %s", in.IndexName)
	case t.BillingMode == "PAY_PER_REQUEST" && in.ProvisionedThroughput != nil:
		return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: %s when "+
			"BillingMode is PAY_PER_REQUEST", in.IndexName)
	}
	kinds, err := kindsOf(definitions)
	if err != nil {
		return err
	}
	known := t.attributes()
	for _, k := range in.KeySchema {
		kind, given := kinds[k.AttributeName]
		if is, there := known[k.AttributeName]; there && given && kind != is {
			return invalid("Attribute %s is %s already, and cannot be %s in another index", k.AttributeName, is, kind)
		}
	}
	maps.Copy(kinds, known)
	x, err := s.newIndex(t, in, kinds)
	if err != nil {
		return err
	}
	x.Phase = allocating
	t.Indexes = append(t.Indexes, x)
	s.scheduleIndexStep(tx, t.Name, &x)
	return nil
}

func (s *Service) deleteIndex(tx *store.Tx, t *table, x *index) error {
	x.Phase, x.Cursor = deleting, nil
	s.scheduleIndexStep(tx, t.Name, x)
	return nil
}

// updateIndex changes the throughput of an index, which is all that can be changed.
func (t *table) updateIndex(name string, p *throughput) error {
	x := t.index(name)
	switch {
	case x == nil:
		return errNoIndex(t, name)
	case x.Phase == deleting:
		return errInUse("Index is being deleted. Table: %s Index: %s", t.Name, name)
	case t.BillingMode == "PAY_PER_REQUEST":
		return invalid("The only Updates for index: %s when TableThroughputMode is PAY_PER_REQUEST can be to "+
			"OnDemandThroughput, WarmThroughput", name)
	case p == nil:
		return invalid("ProvisionedThroughput must be specified for index: %s", name)
	case p.ReadCapacityUnits == x.Read && p.WriteCapacityUnits == x.Write:
		return errValidation("The provisioned throughput for the index %s will not change. The requested value "+
			"equals the current value. Current ReadCapacityUnits provisioned for the index: %d. Requested "+
			"ReadCapacityUnits: %d. Current WriteCapacityUnits provisioned for the index: %d. Requested "+
			"WriteCapacityUnits: %d. Refer to the Amazon DynamoDB Developer Guide for current limits and how to "+
			"request higher limits.", name, x.Read, p.ReadCapacityUnits, x.Write, p.WriteCapacityUnits)
	}
	x.Read, x.Write = p.ReadCapacityUnits, p.WriteCapacityUnits
	return nil
}
