package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb/expr"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type attributeDefinition struct {
	AttributeName string `json:"AttributeName" api:"min=1,max=255"`
	AttributeType string `json:"AttributeType" api:"values=B|N|S"`
}

type keySchemaElement struct {
	AttributeName string `json:"AttributeName" api:"min=1,max=255"`
	KeyType       string `json:"KeyType" api:"values=HASH|RANGE"`
}

type throughput struct {
	NumberOfDecreasesToday int64 `json:"NumberOfDecreasesToday"`
	ReadCapacityUnits      int64 `json:"ReadCapacityUnits" api:"min=1"`
	WriteCapacityUnits     int64 `json:"WriteCapacityUnits" api:"min=1"`
}

type tag struct {
	Key   string `json:"Key" api:"min=1,max=128"`
	Value string `json:"Value" api:"max=256"`
}

type sseSpecification struct {
	Enabled        bool   `json:"Enabled"`
	SSEType        string `json:"SSEType,omitempty" api:"values=AES256|KMS"`
	KMSMasterKeyID string `json:"KMSMasterKeyId,omitempty"`
}

type sseDescription struct {
	Status          string `json:"Status"`
	SSEType         string `json:"SSEType"`
	KMSMasterKeyARN string `json:"KMSMasterKeyArn,omitempty"`
}

type createTableIn struct {
	TableName                 string                `json:"TableName" api:"required,min=3,max=255,arn=1024,pattern=table"`
	AttributeDefinitions      []attributeDefinition `json:"AttributeDefinitions"`
	KeySchema                 []keySchemaElement    `json:"KeySchema" api:"max=2"`
	BillingMode               string                `json:"BillingMode,omitempty" api:"set=billing modes"`
	ProvisionedThroughput     *throughput           `json:"ProvisionedThroughput,omitempty"`
	Tags                      []tag                 `json:"Tags,omitempty"`
	DeletionProtectionEnabled bool                  `json:"DeletionProtectionEnabled,omitempty"`
	TableClass                string                `json:"TableClass,omitempty" api:"set=table classes"`
	SSESpecification          *sseSpecification     `json:"SSESpecification,omitempty"`
	GlobalSecondaryIndexes    []indexIn             `json:"GlobalSecondaryIndexes,omitempty"`
	LocalSecondaryIndexes     []any                 `json:"LocalSecondaryIndexes,omitempty"`
	StreamSpecification       *struct {
		StreamEnabled bool `json:"StreamEnabled"`
	} `json:"StreamSpecification,omitempty"`
	ResourcePolicy     string `json:"ResourcePolicy,omitempty"`
	OnDemandThroughput any    `json:"OnDemandThroughput,omitempty"`
	WarmThroughput     any    `json:"WarmThroughput,omitempty"`
}

type billingModeSummary struct {
	BillingMode string `json:"BillingMode"`
}

type tableClassSummary struct {
	TableClass string `json:"TableClass"`
}

type tableDescription struct {
	TableName                 string                `json:"TableName"`
	TableArn                  string                `json:"TableArn"`
	TableID                   string                `json:"TableId"`
	TableStatus               string                `json:"TableStatus"`
	CreationDateTime          awsapi.Time           `json:"CreationDateTime"`
	AttributeDefinitions      []attributeDefinition `json:"AttributeDefinitions"`
	KeySchema                 []keySchemaElement    `json:"KeySchema"`
	BillingModeSummary        *billingModeSummary   `json:"BillingModeSummary,omitempty"`
	ProvisionedThroughput     throughput            `json:"ProvisionedThroughput"`
	ItemCount                 int64                 `json:"ItemCount"`
	TableSizeBytes            int64                 `json:"TableSizeBytes"`
	DeletionProtectionEnabled bool                  `json:"DeletionProtectionEnabled"`
	TableClassSummary         *tableClassSummary    `json:"TableClassSummary,omitempty"`
	SSEDescription            *sseDescription       `json:"SSEDescription,omitempty"`
	GlobalSecondaryIndexes    []indexDescription    `json:"GlobalSecondaryIndexes,omitempty"`
}

type tableDescriptionOut struct {
	TableDescription tableDescription `json:"TableDescription"`
}

type describeTableOut struct {
	Table tableDescription `json:"Table"`
}

type tableRef struct {
	TableName string `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
}

func (s *Service) describe(tx *store.Tx, t *table, status string) (tableDescription, error) {
	c, _, err := counters.Get(tx, t.ID)
	d := tableDescription{
		TableName: t.Name, TableArn: s.arn(t.Name), TableID: t.ID, TableStatus: status,
		CreationDateTime: awsapi.Time{Time: t.Created},
		KeySchema:        keySchema(t.Partition, t.Sort),
		ProvisionedThroughput: throughput{
			ReadCapacityUnits: t.Read, WriteCapacityUnits: t.Write,
		},
		ItemCount: c.Items, TableSizeBytes: c.Bytes, DeletionProtectionEnabled: t.Protected, SSEDescription: t.SSE,
	}
	kinds := t.attributes()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		d.AttributeDefinitions = append(d.AttributeDefinitions, attributeDefinition{name, string(kinds[name])})
	}
	for i := range t.Indexes {
		x, err := s.describeIndex(tx, t, &t.Indexes[i])
		if err != nil {
			return d, err
		}
		if status == "CREATING" { // the indexes of a new table come with it
			x.IndexStatus = status
		}
		d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, x)
	}
	if t.BillingMode == "PAY_PER_REQUEST" {
		d.BillingModeSummary = &billingModeSummary{t.BillingMode}
	}
	if t.Class != "" {
		d.TableClassSummary = &tableClassSummary{t.Class}
	}
	return d, err
}

func (s *Service) createTable(ctx context.Context, c *awsapi.Call, in *createTableIn) (*tableDescriptionOut, error) {
	switch {
	case len(in.LocalSecondaryIndexes) > 0 && len(in.KeySchema) < 2:
		return nil, invalid("Table KeySchema does not have a range key, which is required when specifying a " +
			"LocalSecondaryIndex")
	case len(in.LocalSecondaryIndexes) > 0:
		return nil, awsapi.NotBuilt("local secondary indexes (LocalSecondaryIndexes)")
	case in.OnDemandThroughput != nil || in.WarmThroughput != nil:
		return nil, awsapi.NotBuilt("OnDemandThroughput and WarmThroughput of DynamoDB tables")
	case in.StreamSpecification != nil && in.StreamSpecification.StreamEnabled:
		return nil, awsapi.NotBuilt("DynamoDB streams (StreamSpecification)")
	case in.ResourcePolicy != "":
		return nil, awsapi.NotBuilt("DynamoDB resource policies (ResourcePolicy)")
	}
	for i := range in.GlobalSecondaryIndexes {
		if err := in.GlobalSecondaryIndexes[i].checkShape(fmt.Sprintf("globalSecondaryIndexes.%d.member",
			i+1)); err != nil {
			return nil, err
		}
	}
	t := table{
		Name: in.TableName, ID: s.Scheduler.UUID(), Created: s.Scheduler.Now(), BillingMode: in.BillingMode,
		Protected: in.DeletionProtectionEnabled, Class: in.TableClass, Tags: map[string]string{},
	}
	kinds, err := t.setKeys(in)
	if err != nil {
		return nil, err
	}
	switch t.BillingMode {
	case "PAY_PER_REQUEST":
		if in.ProvisionedThroughput != nil {
			return nil, errValidation(
				"One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can " +
					"be specified when BillingMode is PAY_PER_REQUEST")
		}
	case "", "PROVISIONED":
		t.BillingMode = "PROVISIONED"
		if in.ProvisionedThroughput == nil {
			return nil, invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode " +
				"is PROVISIONED")
		}
		if err := in.ProvisionedThroughput.check("provisionedThroughput"); err != nil {
			return nil, err
		}
		t.Read, t.Write = in.ProvisionedThroughput.ReadCapacityUnits, in.ProvisionedThroughput.WriteCapacityUnits
	default:
		return nil, errValidation("BillingMode: %q is neither PROVISIONED nor PAY_PER_REQUEST", t.BillingMode)
	}
	if err := s.setIndexes(&t, in, kinds); err != nil {
		return nil, err
	}
	if t.SSE, err = s.encrypted(ctx, c, in.SSESpecification, t.Name); err != nil {
		return nil, err
	}
	for _, tag := range in.Tags {
		t.Tags[tag.Key] = tag.Value
	}
	out := &tableDescriptionOut{}
	return out, s.Store.Update(func(tx *store.Tx) error {
		if _, ok, err := tables.Get(tx, t.Name); err != nil {
			return err
		} else if ok {
			return awsapi.Errorf("ResourceInUseException", "Table already exists: %s", t.Name)
		}
		if err := tables.Put(tx, t, t.Name); err != nil {
			return err
		}
		var err error
		out.TableDescription, err = s.describe(tx, &t, "CREATING")
		return err
	})
}

func kindsOf(definitions []attributeDefinition) (map[string]expr.Kind, error) {
	kinds := map[string]expr.Kind{}
	for _, a := range definitions {
		if _, twice := kinds[a.AttributeName]; twice {
			return nil, errValidation("Attribute Name is duplicated: %s", a.AttributeName)
		}
		switch k := expr.Kind(a.AttributeType); k {
		case expr.S, expr.N, expr.B:
			kinds[a.AttributeName] = k
		default:
			return nil, errValidation("AttributeDefinitions: type %q of %s is none of S, N, B", a.AttributeType,
				a.AttributeName)
		}
	}
	return kinds, nil
}

// setKeys sets the keys of a new table. Each attribute that is defined is a key of the table or of an index.
func (t *table) setKeys(in *createTableIn) (map[string]expr.Kind, error) {
	kinds, err := kindsOf(in.AttributeDefinitions)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	if n := len(in.KeySchema); n == 2 && in.KeySchema[0].AttributeName == in.KeySchema[1].AttributeName {
		return nil, errValidation("Invalid KeySchema: Some index key attribute have no definition")
	}
	for i, k := range in.KeySchema {
		kind, ok := kinds[k.AttributeName]
		if !ok {
			return nil, invalid("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], "+
				"AttributeDefinitions: %s", k.AttributeName, list(slices.Sorted(maps.Keys(kinds))))
		}
		used[k.AttributeName] = true
		switch {
		case i == 0 && k.KeyType == "HASH":
			t.Partition = keyAttribute{k.AttributeName, kind}
		case i == 1 && k.KeyType == "RANGE":
			t.Sort = keyAttribute{k.AttributeName, kind}
		default:
			return nil, errValidation("Invalid KeySchema: the first KeySchemaElement must be HASH, the second, if " +
				"any, RANGE")
		}
	}
	if t.Partition.Name == "" {
		return nil, errValidation(
			"No Hash Key specified in schema.  All Dynamo DB tables must have exactly one hash key")
	}
	for _, x := range in.GlobalSecondaryIndexes {
		for _, k := range x.KeySchema {
			used[k.AttributeName] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		switch {
		case used[name]:
		case len(in.GlobalSecondaryIndexes) > 0:
			return nil, invalid("Some AttributeDefinitions are not used. AttributeDefinitions: %s, keys used: %s",
				list(slices.Sorted(maps.Keys(kinds))), list(slices.Sorted(maps.Keys(used))))
		default:
			return nil, invalid("Number of attributes in KeySchema does not exactly match number of attributes " +
				"defined in AttributeDefinitions")
		}
	}
	return kinds, nil
}

func (s *Service) describeTable(_ context.Context, _ *awsapi.Call, in *tableRef) (*describeTableOut, error) {
	out := &describeTableOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		t, err := s.find(tx, in.TableName)
		if awsapi.Code(err) == "ResourceNotFoundException" {
			return awsapi.Errorf("ResourceNotFoundException", "Requested resource not found: Table: %s not found",
				tableName(in.TableName))
		}
		if err != nil {
			return err
		}
		out.Table, err = s.describe(tx, t, t.status())
		return err
	})
}

func (s *Service) deleteTable(_ context.Context, _ *awsapi.Call, in *tableRef) (*tableDescriptionOut, error) {
	out := &tableDescriptionOut{}
	return out, s.Store.Update(func(tx *store.Tx) error {
		t, err := s.find(tx, in.TableName)
		if err != nil {
			return awsapi.Errorf("ResourceNotFoundException", "Requested resource not found: Table: %s not found",
				tableName(in.TableName))
		}
		if t.Protected {
			return errValidation("Resource cannot be deleted as it is currently protected against deletion. " +
				"Disable deletion protection first.")
		}
		if t.busy() != nil {
			return errInUse("Cannot delete table while indexes are being created, updated, or deleted.")
		}
		if out.TableDescription, err = s.describe(tx, t, "DELETING"); err != nil {
			return err
		}
		if err := items.DeleteAll(tx, t.ID); err != nil {
			return err
		}
		for _, x := range t.Indexes {
			if err := errors.Join(entries.DeleteAll(tx, x.ID), counters.Delete(tx, x.ID)); err != nil {
				return err
			}
		}
		if err := counters.Delete(tx, t.ID); err != nil {
			return err
		}
		return tables.Delete(tx, t.Name)
	})
}

type updateTableIn struct {
	TableName                   string                `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	AttributeDefinitions        []attributeDefinition `json:"AttributeDefinitions,omitempty"`
	BillingMode                 string                `json:"BillingMode,omitempty" api:"set=billing modes"`
	ProvisionedThroughput       *throughput           `json:"ProvisionedThroughput,omitempty"`
	DeletionProtectionEnabled   *bool                 `json:"DeletionProtectionEnabled,omitempty"`
	TableClass                  string                `json:"TableClass,omitempty" api:"set=table classes"`
	GlobalSecondaryIndexUpdates []indexUpdate         `json:"GlobalSecondaryIndexUpdates,omitempty"`
	ReplicaUpdates              []any                 `json:"ReplicaUpdates,omitempty"`
	StreamSpecification         any                   `json:"StreamSpecification,omitempty"`
	SSESpecification            *sseSpecification     `json:"SSESpecification,omitempty"`
	OnDemandThroughput          any                   `json:"OnDemandThroughput,omitempty"`
	WarmThroughput              any                   `json:"WarmThroughput,omitempty"`
	MultiRegionConsistency      any                   `json:"MultiRegionConsistency,omitempty"`
}

func (s *Service) updateTable(ctx context.Context, c *awsapi.Call, in *updateTableIn) (*tableDescriptionOut, error) {
	if len(in.ReplicaUpdates) > 0 || in.StreamSpecification != nil || in.MultiRegionConsistency != nil {
		return nil, awsapi.NotBuilt("UpdateTable of replicas and streams")
	}
	if in.OnDemandThroughput != nil || in.WarmThroughput != nil {
		return nil, awsapi.NotBuilt("OnDemandThroughput and WarmThroughput of DynamoDB tables")
	}
	if p := in.ProvisionedThroughput; p != nil {
		if err := p.check("provisionedThroughput"); err != nil {
			return nil, err
		}
	}
	made, err := in.checkIndexUpdates()
	if err != nil {
		return nil, err
	}
	encrypted, err := s.encrypted(ctx, c, in.SSESpecification, in.TableName)
	if err != nil {
		return nil, err
	}
	out := &tableDescriptionOut{}
	return out, s.Store.Update(func(tx *store.Tx) error {
		t, err := s.find(tx, in.TableName)
		if err != nil {
			return err
		}
		if err := t.setBillingMode(in); err != nil {
			return err
		}
		if err := s.updateIndexes(tx, t, in, made); err != nil {
			return err
		}
		if p := in.ProvisionedThroughput; p != nil {
			if err := t.setThroughput(p, in); err != nil {
				return err
			}
		}
		if in.DeletionProtectionEnabled != nil {
			t.Protected = *in.DeletionProtectionEnabled
		}
		if in.TableClass != "" {
			t.Class = in.TableClass
		}
		if in.SSESpecification != nil {
			t.SSE = encrypted
		}
		if err := tables.Put(tx, *t, t.Name); err != nil {
			return err
		}
		out.TableDescription, err = s.describe(tx, t, t.status())
		return err
	})
}

// setThroughput changes the table's own throughput.
func (t *table) setThroughput(p *throughput, in *updateTableIn) error {
	if t.BillingMode == "PAY_PER_REQUEST" {
		return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is " +
			"PAY_PER_REQUEST")
	}
	if p.ReadCapacityUnits == t.Read && p.WriteCapacityUnits == t.Write {
		return errValidation("The provisioned throughput for the table will not change. The requested value equals "+
			"the current value. Current ReadCapacityUnits provisioned for the table: %[1]d. Requested "+
			"ReadCapacityUnits: %[1]d. Current WriteCapacityUnits provisioned for the table: %[2]d. Requested "+
			"WriteCapacityUnits: %[2]d. Refer to the Amazon DynamoDB Developer Guide for current limits and "+
			"how to request higher limits.",
			t.Read, t.Write)
	}
	t.Read, t.Write = p.ReadCapacityUnits, p.WriteCapacityUnits
	return nil
}

// setBillingMode changes how the table, and with it its indexes, is paid for.
func (t *table) setBillingMode(in *updateTableIn) error {
	switch in.BillingMode {
	case "":
		return nil
	case "PAY_PER_REQUEST":
		t.Read, t.Write = 0, 0
		for i := range t.Indexes {
			t.Indexes[i].Read, t.Indexes[i].Write = 0, 0
		}
	case "PROVISIONED":
		if t.BillingMode == in.BillingMode {
			return nil
		}
		for _, x := range t.Indexes {
			given := slices.ContainsFunc(in.GlobalSecondaryIndexUpdates, func(u indexUpdate) bool {
				return u.Update != nil && u.Update.IndexName == x.Name
			})
			if !given {
				return invalid("ProvisionedThroughput must be specified for index: %s", x.Name)
			}
		}
	default:
		return errValidation("BillingMode: %q is neither PROVISIONED nor PAY_PER_REQUEST", in.BillingMode)
	}
	t.BillingMode = in.BillingMode
	return nil
}

type listTablesIn struct {
	ExclusiveStartTableName string `json:"ExclusiveStartTableName,omitempty" api:"min=3,max=255,pattern=table name"`
	Limit                   *int   `json:"Limit,omitempty" api:"min=1,max=100"`
}

type listTablesOut struct {
	TableNames             []string `json:"TableNames"`
	LastEvaluatedTableName string   `json:"LastEvaluatedTableName,omitempty"`
}

func (s *Service) listTables(_ context.Context, _ *awsapi.Call, in *listTablesIn) (*listTablesOut, error) {
	limit := awsapi.PageSize(in.Limit, 100, 100)
	q := store.Query{}
	if in.ExclusiveStartTableName != "" {
		q.After = []string{in.ExclusiveStartTableName}
	}
	out := &listTablesOut{TableNames: []string{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		for row, err := range tables.Scan(tx, q) {
			if err != nil {
				return err
			}
			if len(out.TableNames) == limit {
				out.LastEvaluatedTableName = out.TableNames[limit-1]
				break
			}
			out.TableNames = append(out.TableNames, row.Value.Name)
		}
		return nil
	})
}

type timeToLive struct {
	AttributeName string `json:"AttributeName" api:"min=1,max=255"`
	Enabled       bool   `json:"Enabled"`
}

type timeToLiveIn struct {
	TableName               string     `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	TimeToLiveSpecification timeToLive `json:"TimeToLiveSpecification"`
}

type timeToLiveOut struct {
	TimeToLiveSpecification timeToLive `json:"TimeToLiveSpecification"`
}

func (s *Service) updateTimeToLive(_ context.Context, _ *awsapi.Call, in *timeToLiveIn) (*timeToLiveOut, error) {
	spec := in.TimeToLiveSpecification
	if spec.AttributeName == "" {
		return nil, errValidation("TimeToLiveSpecification.AttributeName must be given")
	}
	return &timeToLiveOut{spec}, s.Store.Update(func(tx *store.Tx) error {
		t, err := s.find(tx, in.TableName)
		if err != nil {
			return err
		}
		switch {
		case spec.Enabled && t.TTL == spec.AttributeName:
			return errValidation("TimeToLive is already enabled")
		case spec.Enabled && t.TTL != "":
			return errValidation("TimeToLive is active on a different AttributeName: current AttributeName is %s",
				t.TTL)
		case !spec.Enabled && t.TTL == "":
			return errValidation("TimeToLive is already disabled")
		}
		old := *t
		t.TTL = ""
		if spec.Enabled {
			t.TTL = spec.AttributeName
		}
		var rows []store.Row[expr.Item]
		for row, err := range items.Scan(tx, store.Query{Prefix: []string{t.ID}}) {
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		for _, row := range rows {
			if n := old.expiry(row.Value); n != 0 {
				if err := expiries.Delete(tx, append([]string{store.Number(n)}, row.Key...)...); err != nil {
					return err
				}
			}
			if n := t.expiry(row.Value); n != 0 {
				if err := expiries.Put(tx, nil, append([]string{store.Number(n)}, row.Key...)...); err != nil {
					return err
				}
			}
		}
		tx.OnCommit(func() { s.Scheduler.Failed("dynamodb time to live", s.nextSweep()) })
		return tables.Put(tx, *t, t.Name)
	})
}

type timeToLiveDescription struct {
	TimeToLiveStatus string `json:"TimeToLiveStatus"`
	AttributeName    string `json:"AttributeName,omitempty"`
}

type describeTimeToLiveOut struct {
	TimeToLiveDescription timeToLiveDescription `json:"TimeToLiveDescription"`
}

func (s *Service) describeTimeToLive(_ context.Context, _ *awsapi.Call, in *tableRef) (*describeTimeToLiveOut, error) {
	out := &describeTimeToLiveOut{timeToLiveDescription{TimeToLiveStatus: "DISABLED"}}
	return out, s.Store.View(func(tx *store.Tx) error {
		t, err := s.find(tx, in.TableName)
		if err == nil && t.TTL != "" {
			out.TimeToLiveDescription = timeToLiveDescription{"ENABLED", t.TTL}
		}
		return err
	})
}

type recoverySpecification struct {
	PointInTimeRecoveryEnabled bool `json:"PointInTimeRecoveryEnabled"`
	RecoveryPeriodInDays       int  `json:"RecoveryPeriodInDays,omitempty" api:"min=1,max=35"`
}

type backupsIn struct {
	TableName                        string                `json:"TableName" api:"required,min=1,max=255,arn=1024,pattern=table"`
	PointInTimeRecoverySpecification recoverySpecification `json:"PointInTimeRecoverySpecification"`
}

type recoveryDescription struct {
	PointInTimeRecoveryStatus string `json:"PointInTimeRecoveryStatus"`
}

type backupsDescription struct {
	ContinuousBackupsStatus        string              `json:"ContinuousBackupsStatus"`
	PointInTimeRecoveryDescription recoveryDescription `json:"PointInTimeRecoveryDescription"`
}

type backupsOut struct {
	ContinuousBackupsDescription backupsDescription `json:"ContinuousBackupsDescription"`
}

func describeBackups(t *table) *backupsOut {
	out := &backupsOut{backupsDescription{ContinuousBackupsStatus: "ENABLED"}}
	out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus = "DISABLED"
	if t.Recovery {
		out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus = "ENABLED"
	}
	return out
}

// updateBackups keeps the setting; there is nothing here to restore from, and
// the restore operations say so.
func (s *Service) updateBackups(_ context.Context, _ *awsapi.Call, in *backupsIn) (out *backupsOut, err error) {
	err = s.Store.Update(func(tx *store.Tx) error {
		t, err := s.find(tx, in.TableName)
		if err != nil {
			return err
		}
		t.Recovery = in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled
		out = describeBackups(t)
		return tables.Put(tx, *t, t.Name)
	})
	return out, err
}

func (s *Service) describeBackups(_ context.Context, _ *awsapi.Call, in *tableRef) (out *backupsOut, err error) {
	err = s.Store.View(func(tx *store.Tx) error {
		t, err := s.find(tx, in.TableName)
		if err == nil {
			out = describeBackups(t)
		}
		return err
	})
	return out, err
}

type tagIn struct {
	ResourceArn string   `json:"ResourceArn" api:"min=1,max=1283"`
	Tags        []tag    `json:"Tags,omitempty"`
	TagKeys     []string `json:"TagKeys,omitempty" api:"each.min=1,each.max=128"`
}

type nothing struct{}

// checkTagged refuses what is no table of the account and the region.
func (s *Service) checkTagged(c *awsapi.Call, arn string) error {
	if !tableARN.MatchString(arn) {
		return errValidation("Invalid TableArn: Invalid ResourceArn provided as input %s", arn)
	}
	if !strings.HasPrefix(arn, s.arn("")) {
		return awsapi.Errorf("AccessDeniedException",
			"User: %s is not authorized to perform: dynamodb:%s on resource: %s",
			c.Identity.ARN, c.Operation, arn)
	}
	return nil
}

var tableARN = regexp.MustCompile(`^arn:aws:dynamodb:[^:]+:\d+:table/[a-zA-Z0-9_.-]{3,255}$`)

func (s *Service) tagResource(_ context.Context, c *awsapi.Call, in *tagIn) (*nothing, error) {
	if err := s.checkTagged(c, in.ResourceArn); err != nil {
		return nil, err
	}
	return &nothing{}, s.retag(in, func(tags map[string]string) {
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
	})
}

func (s *Service) untagResource(_ context.Context, c *awsapi.Call, in *tagIn) (*nothing, error) {
	if err := s.checkTagged(c, in.ResourceArn); err != nil {
		return nil, err
	}
	return &nothing{}, s.retag(in, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

func (s *Service) retag(in *tagIn, change func(map[string]string)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		t, err := s.find(tx, in.ResourceArn)
		if err != nil {
			return err
		}
		if t.Tags == nil {
			t.Tags = map[string]string{}
		}
		change(t.Tags)
		return tables.Put(tx, *t, t.Name)
	})
}

type tagsOut struct {
	Tags []tag `json:"Tags"`
}

func (s *Service) listTags(_ context.Context, c *awsapi.Call, in *tagIn) (*tagsOut, error) {
	if err := s.checkTagged(c, in.ResourceArn); err != nil {
		return nil, err
	}
	out := &tagsOut{Tags: []tag{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		t, err := s.find(tx, in.ResourceArn)
		if err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(t.Tags)) {
			out.Tags = append(out.Tags, tag{k, t.Tags[k]})
		}
		return nil
	})
}
