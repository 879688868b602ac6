package dynamodb

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Keys of what is known of models of devices.
const (
	pkModels = "MODELS"
	skModel  = "MODEL#"
)

// PutModel keeps the quirks of a model, as they were found on a thing's device.
func (st *Store) PutModel(ctx context.Context, model string, quirks []string, by string, at time.Time) error {
	i := key(pkModels, skModel+model)
	i["v"], i["quirks"], i["thing"], i["at"] = n(form), s(strings.Join(quirks, ",")), s(by), n(at.UnixMilli())
	_, err := st.api.PutItem(ctx, &dynamodb.PutItemInput{TableName: &st.table, Item: i})
	return wrap("PutModel", err)
}

// Model is the quirks of a model; none where nothing is kept.
func (st *Store) Model(ctx context.Context, model string) ([]string, error) {
	out, err := st.api.Query(ctx, &dynamodb.QueryInput{
		TableName: &st.table, KeyConditionExpression: aws.String("PK = :pk AND SK = :sk"),
		ExpressionAttributeValues: item{":pk": s(pkModels), ":sk": s(skModel + model)},
	})
	if err != nil || len(out.Items) == 0 {
		return nil, wrap("Model", err)
	}
	all := strings.Split(text(out.Items[0], "quirks"), ",")
	return slices.DeleteFunc(all, func(q string) bool { return q == "" }), nil
}

// Models is a workflow.Models that remembers for a minute what it was told: a fleet has
// few models, and what is kept of them changes when somebody examines a device.
type Models struct {
	Store *Store
	Now   func() time.Time

	mu    sync.Mutex
	known map[string]kept
}

type kept struct {
	quirks []string
	until  time.Time
}

// Quirks implements workflow.Models.
func (m *Models) Quirks(ctx context.Context, model string) ([]string, error) {
	now := m.Now()
	m.mu.Lock()
	k, ok := m.known[model]
	m.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.quirks, nil
	}
	quirks, err := m.Store.Model(ctx, model)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]kept{}
	}
	if len(m.known) >= mostModels {
		clear(m.known) // names are the devices' own word
	}
	m.known[model] = kept{quirks, now.Add(time.Minute)}
	return quirks, nil
}

const mostModels = 1000
