// Package dynamodb keeps the records of campaigns in DynamoDB: a campaign.Store over the
// table of the devices, with keys PK and SK.
//
//	PK CAMPAIGN#<id>   SK RECORD            the record: JSON; its revision, and its task token, beside it
//	                      LOG#<revision>#<n>   what was done, and by whom
//	PK CAMPAIGNS       SK <id>              what a list says of it
//	PK CAMPAIGNS#OPEN  SK <id>              it is not over: what the clock looks at
//
// A record, its log and its places in the lists are written in one transaction, on condition
// of the revision. A client that conflicts with another tries again by itself (package
// workflow/dynamodb's Options). Safe for concurrent use.
package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of DynamoDB that is used.
type API interface {
	Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput,
		error)
	TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (
		*dynamodb.TransactWriteItemsOutput, error)
}

// Store is a campaign.Store.
type Store struct {
	api   API
	table string
}

// New is a store over a table.
func New(api API, table string) *Store { return &Store{api: api, table: table} }

type item = map[string]types.AttributeValue

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
func n(v int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(v, 10)}
}
func key(pk, sk string) item { return item{"PK": s(pk), "SK": s(sk)} }

// form is the version of the items that this program writes.
const form = 1

const (
	skRecord = "RECORD"
	skLog    = "LOG#"
	pkAll    = "CAMPAIGNS"
	pkOpen   = "CAMPAIGNS#OPEN"
)

func pk(id event.CampaignID) string { return "CAMPAIGN#" + string(id) }

func text(i item, name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func number(i item, name string) (int64, error) {
	v, ok := i[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, fmt.Errorf("campaign/dynamodb: item %s of %s, attribute %s is no number", text(i, "SK"),
			text(i, "PK"), name)
	}
	return strconv.ParseInt(v.Value, 10, 64)
}

// Create implements campaign.Store.
func (st *Store) Create(ctx context.Context, c campaign.Campaign) error {
	c.Rev = 0
	err := st.write(ctx, c, "attribute_not_exists(PK)", nil)
	if errors.Is(err, campaign.ErrChanged) {
		return campaign.ErrExists
	}
	return err
}

// Save implements campaign.Store.
func (st *Store) Save(ctx context.Context, c campaign.Campaign, done ...campaign.Entry) error {
	return st.write(ctx, c, "rev = :rev", item{":rev": n(c.Rev)}, done...)
}

func (st *Store) write(ctx context.Context, c campaign.Campaign, condition string, values item,
	done ...campaign.Entry) error {
	fail := func(err error) error { return fmt.Errorf("campaign/dynamodb.write: %s: %w", c.ID, err) }
	record, err := json.Marshal(c)
	if err != nil {
		return fail(err)
	}
	summary, err := json.Marshal(c.Summary())
	if err != nil {
		return fail(err)
	}
	i := key(pk(c.ID), skRecord)
	i["v"], i["rev"], i["record"] = n(form), n(c.Rev+1), s(string(record))
	if c.Token != "" {
		i["token"] = s(c.Token)
	}
	row, open := key(pkAll, string(c.ID)), key(pkOpen, string(c.ID))
	row["v"], row["summary"], open["v"] = n(form), s(string(summary)), n(form)
	put := func(i item) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: &st.table, Item: i}}
	}
	first := put(i)
	first.Put.ConditionExpression, first.Put.ExpressionAttributeValues = &condition, values
	writes := []types.TransactWriteItem{first, put(row)}
	if c.State.Over() {
		writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{TableName: &st.table,
			Key: key(pkOpen, string(c.ID))}})
	} else {
		writes = append(writes, put(open))
	}
	for k, e := range done {
		b, err := json.Marshal(e)
		if err != nil {
			return fail(err)
		}
		entry := key(pk(c.ID), fmt.Sprintf("%s%010d#%02d", skLog, c.Rev+1, k))
		entry["v"], entry["entry"] = n(form), s(string(b))
		writes = append(writes, put(entry))
	}
	_, err = st.api.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		if len(canceled.CancellationReasons) > 0 &&
			aws.ToString(canceled.CancellationReasons[0].Code) == "ConditionalCheckFailed" {
			return campaign.ErrChanged
		}
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// Load implements campaign.Store.
func (st *Store) Load(ctx context.Context, id event.CampaignID) (c campaign.Campaign, err error) {
	fail := func(err error) (campaign.Campaign, error) {
		return campaign.Campaign{}, fmt.Errorf("campaign/dynamodb.Load: campaign %s: %w", id, err)
	}
	out, err := st.api.GetItem(ctx, &dynamodb.GetItemInput{TableName: &st.table, Key: key(pk(id), skRecord),
		ConsistentRead: aws.Bool(true)})
	if err != nil {
		return fail(err)
	}
	if len(out.Item) == 0 {
		return campaign.Campaign{}, campaign.NoCampaign{ID: id}
	}
	if v, err := number(out.Item, "v"); err != nil || v != form {
		return fail(fmt.Errorf("the record is of form %d; this program reads form %d: %w", v, form, err))
	}
	if err := json.Unmarshal([]byte(text(out.Item, "record")), &c); err != nil {
		return fail(err)
	}
	c.Token = text(out.Item, "token")
	if c.Rev, err = number(out.Item, "rev"); err != nil {
		return fail(err)
	}
	return c, nil
}

// rows reads all items of a partition whose sort keys begin so.
func (st *Store) rows(ctx context.Context, pk, prefix string) (all []item, err error) {
	in := &dynamodb.QueryInput{
		TableName: &st.table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("PK = :pk"),
		ExpressionAttributeValues: item{":pk": s(pk)},
	}
	if prefix != "" {
		in.KeyConditionExpression = aws.String("PK = :pk AND begins_with(SK, :sk)")
		in.ExpressionAttributeValues[":sk"] = s(prefix)
	}
	for {
		out, err := st.api.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("campaign/dynamodb: %s: %w", pk, err)
		}
		all = append(all, out.Items...)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return all, nil
		}
	}
}

// Open implements campaign.Store.
func (st *Store) Open(ctx context.Context) (ids []event.CampaignID, err error) {
	rows, err := st.rows(ctx, pkOpen, "")
	for _, row := range rows {
		ids = append(ids, event.CampaignID(text(row, "SK")))
	}
	return ids, err
}

// List implements campaign.Store.
func (st *Store) List(ctx context.Context) (all []campaign.Summary, err error) {
	rows, err := st.rows(ctx, pkAll, "")
	for _, row := range rows {
		var one campaign.Summary
		if err := json.Unmarshal([]byte(text(row, "summary")), &one); err != nil {
			return nil, fmt.Errorf("campaign/dynamodb.List: %s: %w", text(row, "SK"), err)
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b campaign.Summary) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return all, err
}

// Log implements campaign.Store.
func (st *Store) Log(ctx context.Context, id event.CampaignID) (all []campaign.Entry, err error) {
	rows, err := st.rows(ctx, pk(id), skLog)
	for _, row := range rows {
		var one campaign.Entry
		if err := json.Unmarshal([]byte(text(row, "entry")), &one); err != nil {
			return nil, fmt.Errorf("campaign/dynamodb.Log: %s: %w", id, err)
		}
		all = append(all, one)
	}
	return all, err
}
