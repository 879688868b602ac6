package iam

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam/policy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// What roles and users have in common.

// checkName refuses an empty name; member is the name of the input's member.
func checkName(member, name string) error {
	if name == "" {
		return invalid(invalidName, member)
	}
	return nil
}

func pathOr(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// entityARN is the ARN of a role or user, with its path if it exists.
func (s *Service) entityARN(k *kind, name string) string {
	arn := s.arn(k.name, "/", name)
	_ = s.config.Store.View(func(tx *store.Tx) error { // an error here shows again in the operation
		if e, err := k.get(tx, name); err == nil {
			arn = e.ARN
		}
		return nil
	})
	return arn
}

func (s *Service) create(k *kind, e entity, tags []tag) (entity, error) {
	if err := checkName(k.name+"Name", e.Name); err != nil {
		return e, err
	}
	e.Path = pathOr(e.Path)
	e.ARN = s.arn(k.name, e.Path, e.Name)
	e.ID = s.newID(k.id, 17)
	e.Created = s.config.Scheduler.Now()
	if err := setTags(&e, tags); err != nil {
		return e, err
	}
	return e, s.update(func(tx *store.Tx) error {
		if old, ok, err := k.table.Get(tx, strings.ToLower(e.Name)); err != nil {
			return err
		} else if ok {
			return alreadyExists("%s with name %s already exists.", k.title, old.Name)
		}
		if e.Boundary != "" {
			if _, err := getPolicy(tx, e.Boundary); err != nil {
				return err
			}
		}
		return k.put(tx, e)
	})
}

// change loads an entity, lets fn change it and writes it back.
func (s *Service) change(k *kind, name string, fn func(tx *store.Tx, e *entity) error) error {
	return s.update(func(tx *store.Tx) error {
		e, err := k.get(tx, name)
		if err != nil {
			return err
		}
		if err := fn(tx, &e); err != nil {
			return err
		}
		return k.put(tx, e)
	})
}

func (s *Service) get(k *kind, name string) (e entity, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		e, err = k.get(tx, name)
		return err
	})
	return e, err
}

func (s *Service) delete(k *kind, name string) error {
	return s.update(func(tx *store.Tx) error {
		e, err := k.get(tx, name)
		if err != nil {
			return err
		}
		if len(e.Attached) > 0 {
			return deleteConflict("Cannot delete entity, must detach all policies first.")
		}
		if len(e.Inline) > 0 {
			return deleteConflict("Cannot delete entity, must delete policies first.")
		}
		if k == users {
			for _, err := range userKeyTable.Scan(tx, store.Query{Prefix: []string{strings.ToLower(name)}}) {
				if err != nil {
					return err
				}
				return deleteConflict("Cannot delete entity, must delete access keys first.")
			}
		}
		return k.table.Delete(tx, strings.ToLower(name))
	})
}

func setTags(e *entity, tags []tag) error {
	if len(tags) > 0 && e.Tags == nil {
		e.Tags = map[string]string{}
	}
	for _, t := range tags {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return awsapi.Errorf("InvalidInput", "Invalid tag key or value: %s", t.Key)
		}
		e.Tags[t.Key] = t.Value
	}
	if len(e.Tags) > 50 {
		return limitExceeded("The number of tags has reached the maximum limit.")
	}
	return nil
}

func tagList(tags map[string]string) []tag {
	var out []tag
	for _, k := range sortedKeys(tags) {
		out = append(out, tag{k, tags[k]})
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// size is the length of a policy as IAM counts it, without white space.
func size(doc string) int {
	var b bytes.Buffer
	if json.Compact(&b, []byte(doc)) != nil {
		return len(doc)
	}
	return b.Len()
}

// encoded is a document as IAM returns it, encoded as in a URL.
func encoded(doc string) string { return strings.ReplaceAll(url.QueryEscape(doc), "+", "%20") }

func (s *Service) putInline(k *kind, name, policyName, doc string) error {
	if err := checkName("policyName", policyName); err != nil {
		return err
	}
	d, err := policy.Parse([]byte(doc))
	if err != nil {
		return err
	}
	if err := d.CheckIdentity(); err != nil {
		return err
	}
	return s.change(k, name, func(_ *store.Tx, e *entity) error {
		if e.Inline == nil {
			e.Inline = map[string]string{}
		}
		e.Inline[policyName] = doc
		total := 0
		for _, doc := range e.Inline {
			total += size(doc)
		}
		if total > k.limit {
			return limitExceeded("Maximum policy size of %d bytes exceeded for %s %s", k.limit, k.name, e.Name)
		}
		return nil
	})
}

func (s *Service) getInline(k *kind, name, policyName string) (e entity, doc string, err error) {
	if e, err = s.get(k, name); err != nil {
		return e, "", err
	}
	doc, ok := e.Inline[policyName]
	if !ok {
		return e, "", noSuchEntity("The %s policy with name %s cannot be found.", k.name, policyName)
	}
	return e, encoded(doc), nil
}

func (s *Service) deleteInline(k *kind, name, policyName string) error {
	return s.change(k, name, func(_ *store.Tx, e *entity) error {
		if _, ok := e.Inline[policyName]; !ok {
			return noSuchEntity("The %s policy with name %s cannot be found.", k.name, policyName)
		}
		delete(e.Inline, policyName)
		return nil
	})
}

func (s *Service) listInline(k *kind, name string, p paging) (*policyNamesOut, error) {
	e, err := s.get(k, name)
	if err != nil {
		return nil, err
	}
	out := &policyNamesOut{PolicyNames: []string{}}
	out.PolicyNames, out.page, err = cut(sortedKeys(e.Inline), p)
	return out, err
}

func (s *Service) attach(k *kind, name, arn string) error {
	return s.change(k, name, func(tx *store.Tx, e *entity) error {
		if _, err := getPolicy(tx, arn); awsapi.IsFault(err) {
			return err
		} else if err != nil {
			return noSuchEntity("Policy %s does not exist or is not attachable.", arn)
		}
		if slices.Contains(e.Attached, arn) {
			return nil
		}
		if len(e.Attached) >= 10 {
			return limitExceeded("Cannot exceed quota for PoliciesPer%s: 10", k.title)
		}
		e.Attached = append(e.Attached, arn)
		slices.Sort(e.Attached)
		return attachmentTable.Put(tx, struct{}{}, arn, k.name, strings.ToLower(e.Name))
	})
}

func (s *Service) detach(k *kind, name, arn string) error {
	return s.change(k, name, func(tx *store.Tx, e *entity) error {
		i := slices.Index(e.Attached, arn)
		if i < 0 {
			return noSuchEntity("Policy %s was not found.", arn)
		}
		e.Attached = slices.Delete(e.Attached, i, i+1)
		return attachmentTable.Delete(tx, arn, k.name, strings.ToLower(e.Name))
	})
}

func (s *Service) listAttached(k *kind, name, prefix string, p paging) (*attachedOut, error) {
	e, err := s.get(k, name)
	if err != nil {
		return nil, err
	}
	all := []attachedPolicy{}
	for _, arn := range e.Attached {
		if strings.HasPrefix(pathOf(arn), pathOr(prefix)) {
			all = append(all, attachedPolicy{nameOf(arn), arn})
		}
	}
	out := &attachedOut{}
	out.AttachedPolicies, out.page, err = cut(all, p)
	return out, err
}

// scan lists entities in the order of their names.
func scan[T any](s *Service, k *kind, p paging, shape func(e entity) T) (out []T, rest page, err error) {
	limit, after, err := p.start()
	if err != nil {
		return nil, rest, err
	}
	out = []T{}
	err = s.config.Store.View(func(tx *store.Tx) error {
		last := ""
		for row, err := range k.table.Scan(tx, store.Query{After: after}) {
			if err != nil {
				return err
			}
			if !strings.HasPrefix(row.Value.Path, pathOr(p.PathPrefix)) {
				continue
			}
			if len(out) == limit {
				rest = page{true, awsapi.PageToken(last)}
				return nil
			}
			out = append(out, shape(row.Value))
			last = row.Key[0]
		}
		return nil
	})
	return out, rest, err
}

// start returns the number of items of a page and the key it begins after.
func (p paging) start() (limit int, after []string, err error) {
	limit = awsapi.PageSize(p.MaxItems, 100, 1000)
	after, ok := awsapi.PageAfter(p.Marker, 1)
	if !ok {
		return 0, nil, invalid("Invalid Marker.")
	}
	return limit, after, nil
}

// cut takes a page out of a list that is read as a whole; its marker is the
// number of items before.
func cut[T any](all []T, p paging) ([]T, page, error) {
	limit, after, err := p.start()
	if err != nil {
		return nil, page{}, err
	}
	from := 0
	if after != nil {
		if err := json.Unmarshal([]byte(after[0]), &from); err != nil || from < 0 || from > len(all) {
			return nil, page{}, invalid("Invalid Marker.")
		}
	}
	to := min(from+limit, len(all))
	rest := page{}
	if to < len(all) {
		b, _ := json.Marshal(to) // a number
		rest = page{true, awsapi.PageToken(string(b))}
	}
	if all == nil {
		all = []T{}
	}
	return all[from:to], rest, nil
}

func boundaryOf(e entity) *boundaryShape {
	if e.Boundary == "" {
		return nil
	}
	return &boundaryShape{"Policy", e.Boundary}
}

// context and *awsapi.Call are not needed by most operations; their
// parameters are blank throughout the next files.
type ctx = context.Context
type call = *awsapi.Call
