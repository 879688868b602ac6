package sqs

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	maxBytes = 1 << 20
	maxBatch = 10
	maxTags  = 50
)

// Config is what the service needs.
type Config struct {
	platform.Platform

	// Endpoint begins the queue URLs that callers from inside see, such as
	// "http://127.0.0.1:4566"; "" stands for AWS's.
	Endpoint string
	Metrics  Metrics // may be nil
}

// Metrics takes data points of AWS/SQS.
type Metrics interface {
	Add(namespace, name, unit string, value float64, dimensions map[string]string)
}

// Service is SQS.
type Service struct {
	config Config

	mu sync.Mutex
	// arrivals has the gate that opens at the next change of a queue, by
	// queue ID, if somebody waits.
	arrivals map[string]*scheduler.Gate
	watchers map[string][]*watcher // by queue name
	// active are the names of the queues that held messages when last looked
	// at, or were used since; measuring is set while a look is due.
	active    map[string]bool
	measuring bool
}

// New returns the service.
func New(config Config) *Service {
	if config.Endpoint == "" {
		config.Endpoint = "https://sqs." + config.Region + ".amazonaws.com"
	}
	return &Service{config: config, arrivals: map[string]*scheduler.Gate{}, watchers: map[string][]*watcher{},
		active: map[string]bool{}}
}

// Start resumes the moves of messages that were under way, and measures the
// queues again.
func (s *Service) Start(context.Context) error {
	return s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range moveTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.active() {
				s.continueMove(row.Key)
			}
		}
		for row, err := range queueTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.used(row.Value.Name)
		}
		return nil
	})
}

// Residue lists the queues that hold messages.
func (s *Service) Residue(context.Context) []string {
	var out []string
	err := s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range queueTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			n := 0
			for _, err := range visibleTable.Scan(tx, store.Query{Prefix: []string{row.Value.ID}}) {
				if err != nil {
					return err
				}
				n++
			}
			if n > 0 {
				out = append(out, fmt.Sprintf("sqs: queue %s holds %d messages", row.Value.Name, n))
			}
		}
		return nil
	})
	if err != nil {
		out = append(out, err.Error())
	}
	return out
}

func (s *Service) arn(name string) string {
	return "arn:aws:sqs:" + s.config.Region + ":" + s.config.Account + ":" + name
}

func (s *Service) url(c *awsapi.Call, name string) string {
	endpoint := s.config.Endpoint
	if c != nil && c.Host != "" {
		endpoint = "http://" + c.Host
	}
	return endpoint + "/" + s.config.Account + "/" + name
}

// resourcePolicy is the Policy attribute of a queue.
func (s *Service) resourcePolicy(arn string) (doc string, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		q, _, err := queueTable.Get(tx, nameOf(arn))
		doc = q.Attributes["Policy"]
		return err
	})
	return doc, err
}

// open finds the queue of a URL. The account in the URL must be ours.
func (s *Service) open(tx *store.Tx, url string) (queue, error) {
	if url == "" {
		return queue{}, missingParameter("QueueUrl")
	}
	rest, name := "", url
	if i := strings.LastIndexByte(url, '/'); i >= 0 {
		rest, name = url[:i], url[i+1:]
		if rest[strings.LastIndexByte(rest, '/')+1:] != s.config.Account {
			return queue{}, noQueue()
		}
	}
	return getQueue(tx, name)
}

// change loads the queue of a URL, lets fn change it and writes it back.
func (s *Service) change(url string, fn func(tx *store.Tx, q *queue) error) error {
	return s.config.Store.Update(func(tx *store.Tx) error {
		q, err := s.open(tx, url)
		if err != nil {
			return err
		}
		if err := fn(tx, &q); err != nil {
			return err
		}
		return queueTable.Put(tx, q, q.Name)
	})
}

// view loads the queue of a URL.
func (s *Service) view(url string, fn func(tx *store.Tx, q *queue) error) error {
	return s.config.Store.View(func(tx *store.Tx) error {
		q, err := s.open(tx, url)
		if err != nil {
			return err
		}
		return fn(tx, &q)
	})
}

var nameRule = regexp.MustCompile(`^[\w-]{1,80}$`)

func (s *Service) createQueue(_ context.Context, c *awsapi.Call, in *createQueueIn) (*queueURLOut, error) {
	if strings.HasSuffix(in.QueueName, ".fifo") || in.Attributes["FifoQueue"] == "true" {
		return nil, awsapi.NotBuilt("FIFO queues")
	}
	if !nameRule.MatchString(in.QueueName) {
		return nil, invalidParameter(
			"Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	now := s.config.Scheduler.Now()
	q := queue{Name: in.QueueName, ID: s.config.Scheduler.UUID(), Attributes: map[string]string{}, Tags: in.Tags,
		Created: now, Modified: now, Next: 1}
	if err := checkTags(q.Tags); err != nil {
		return nil, err
	}
	err := s.config.Store.Update(func(tx *store.Tx) error {
		old, exists, err := queueTable.Get(tx, q.Name)
		if err != nil {
			return err
		}
		if err := s.setAttributes(tx, &q, in.Attributes); err != nil {
			return err
		}
		if !exists {
			return queueTable.Put(tx, q, q.Name)
		}
		for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
			_, isNumber := numbers[name]
			if isNumber && old.number(name) != q.number(name) || !isNumber &&
				old.Attributes[name] != q.Attributes[name] {
				return queueExists(name)
			}
		}
		return nil
	})
	return &queueURLOut{s.url(c, q.Name)}, err
}

func (s *Service) deleteQueue(_ context.Context, _ *awsapi.Call, in *queueIn) (*none, error) {
	return nil, s.config.Store.Update(func(tx *store.Tx) error {
		q, err := s.open(tx, in.QueueURL)
		if err != nil {
			return err
		}
		if err := clearQueue(tx, q); err != nil {
			return err
		}
		tx.OnCommit(func() { s.arrived(&q) })
		if err := moveTable.DeleteAll(tx, q.Name); err != nil {
			return err
		}
		return queueTable.Delete(tx, q.Name)
	})
}

func clearQueue(tx *store.Tx, q queue) error {
	if err := messageTable.DeleteAll(tx, q.ID); err != nil {
		return err
	}
	return visibleTable.DeleteAll(tx, q.ID)
}

func (s *Service) purgeQueue(_ context.Context, _ *awsapi.Call, in *queueIn) (*none, error) {
	now := s.config.Scheduler.Now()
	return nil, s.change(in.QueueURL, func(tx *store.Tx, q *queue) error {
		if now.Sub(q.Purged) < time.Minute {
			return purging(q.Name)
		}
		q.Purged = now
		return clearQueue(tx, *q)
	})
}

func (s *Service) getQueueURL(_ context.Context, c *awsapi.Call, in *getQueueURLIn) (*queueURLOut, error) {
	if in.Owner != "" && in.Owner != s.config.Account {
		return nil, noQueue()
	}
	return &queueURLOut{s.url(c, in.QueueName)}, s.view(in.QueueName, func(*store.Tx, *queue) error { return nil })
}

func (s *Service) listQueues(_ context.Context, c *awsapi.Call, in *listQueuesIn) (*listQueuesOut, error) {
	out := &listQueuesOut{}
	var err error
	out.QueueURLs, out.NextToken, err = s.list(c, in.paging, in.Prefix, func(queue) bool { return true })
	return out, err
}

func (s *Service) listSources(_ context.Context, c *awsapi.Call, in *listSourcesIn) (*listSourcesOut, error) {
	target := ""
	if err := s.view(in.QueueURL, func(_ *store.Tx, q *queue) error {
		target = s.arn(q.Name)
		return nil
	}); err != nil {
		return nil, err
	}
	out := &listSourcesOut{}
	var err error
	out.QueueURLs, out.NextToken, err = s.list(c, in.paging, "", func(q queue) bool {
		t, _ := q.redrive()
		return t == target
	})
	return out, err
}

func (s *Service) list(c *awsapi.Call, p paging, prefix string,
	wanted func(queue) bool) (urls []string, next string, err error) {
	limit := 1000
	if p.MaxResults != nil {
		if limit = *p.MaxResults; limit < 1 || limit > 1000 {
			return nil, "", invalidParameter(
				"Value for parameter MaxResults is invalid. Reason: must be an integer from 1 to 1000.")
		}
	}
	after, ok := awsapi.PageAfter(p.NextToken, 1)
	if !ok {
		return nil, "", invalidParameter("Invalid NextToken value.")
	}
	q := store.Query{Begins: prefix, After: after}
	urls = []string{}
	err = s.config.Store.View(func(tx *store.Tx) error {
		last := ""
		for row, err := range queueTable.Scan(tx, q) {
			switch {
			case err != nil:
				return err
			case !strings.HasPrefix(row.Value.Name, prefix) || !wanted(row.Value):
			case len(urls) == limit:
				if p.MaxResults != nil { // without MaxResults AWS gives no token
					next = awsapi.PageToken(last)
				}
				return nil
			default:
				last = row.Value.Name
				urls = append(urls, s.url(c, last))
			}
		}
		return nil
	})
	return urls, next, err
}

func (s *Service) getQueueAttributes(_ context.Context, _ *awsapi.Call, in *getAttributesIn) (*attributesOut, error) {
	out := &attributesOut{}
	err := s.config.Store.Update(func(tx *store.Tx) error {
		q, err := s.open(tx, in.QueueURL)
		if err != nil {
			return err
		}
		if err := s.expire(tx, &q); err != nil {
			return err
		}
		out.Attributes, err = s.attributes(tx, &q, in.AttributeNames)
		return err
	})
	return out, err
}

func (s *Service) setQueueAttributes(_ context.Context, _ *awsapi.Call, in *setAttributesIn) (*none, error) {
	return nil, s.change(in.QueueURL, func(tx *store.Tx, q *queue) error {
		q.Modified = s.config.Scheduler.Now()
		return s.setAttributes(tx, q, in.Attributes)
	})
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalidParameter("Too many tags added to queue. The maximum is %d.", maxTags)
	}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		v := tags[k]
		if k == "" || len(k) > 128 || len(v) > 256 {
			return invalidParameter("Tag keys must be between 1 and 128 characters in length, values up to 256.")
		}
	}
	return nil
}

func (s *Service) tagQueue(_ context.Context, _ *awsapi.Call, in *tagIn) (*none, error) {
	return nil, s.change(in.QueueURL, func(_ *store.Tx, q *queue) error {
		if q.Tags == nil {
			q.Tags = map[string]string{}
		}
		maps.Copy(q.Tags, in.Tags)
		return checkTags(q.Tags)
	})
}

func (s *Service) untagQueue(_ context.Context, _ *awsapi.Call, in *untagIn) (*none, error) {
	return nil, s.change(in.QueueURL, func(_ *store.Tx, q *queue) error {
		for _, k := range in.TagKeys {
			delete(q.Tags, k)
		}
		return nil
	})
}

func (s *Service) listQueueTags(_ context.Context, _ *awsapi.Call, in *queueIn) (*tagsOut, error) {
	out := &tagsOut{}
	return out, s.view(in.QueueURL, func(_ *store.Tx, q *queue) error {
		out.Tags = q.Tags
		return nil
	})
}
