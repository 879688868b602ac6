package ssm

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// API returns the operations of the Parameter Store.
func (s *Service) API() awsapi.Service {
	one := func(name string) []string { return []string{s.arn(s.refer(name).name)} }
	many := func(names []string) []string {
		list := make([]string, len(names))
		for i, n := range names {
			list[i] = s.arn(s.refer(n).name)
		}
		return list
	}
	return awsapi.Service{
		Fault: awsapi.Word{Code: "InternalServerError", Status: 500},
		ID:    "ssm", Signing: "ssm", Prefix: "ssm", Target: "AmazonSSM", Protocols: []awsapi.Protocol{awsapi.JSON11},
		Operations: []awsapi.Operation{
			awsapi.Op("PutParameter", s.put, awsapi.On(func(_ *awsapi.Call, in *putIn) []string {
				return one(in.Name)
			})),
			awsapi.Op("GetParameter", s.get, awsapi.On(func(_ *awsapi.Call, in *getIn) []string {
				return one(in.Name)
			})),
			awsapi.Op("GetParameters", s.getMany, awsapi.On(func(_ *awsapi.Call, in *getManyIn) []string {
				return many(in.Names)
			})),
			awsapi.Op("GetParametersByPath", s.byPath, awsapi.On(func(_ *awsapi.Call, in *byPathIn) []string {
				return one(in.Path)
			})),
			awsapi.Op("GetParameterHistory", s.history, awsapi.On(func(_ *awsapi.Call, in *historyIn) []string {
				return one(in.Name)
			})),
			awsapi.Op("DescribeParameters", s.describe),
			awsapi.Op("DeleteParameter", s.remove, awsapi.On(func(_ *awsapi.Call, in *nameIn) []string {
				return one(in.Name)
			})),
			awsapi.Op("DeleteParameters", s.removeMany, awsapi.On(func(_ *awsapi.Call, in *getManyIn) []string {
				return many(in.Names)
			})),
			awsapi.Op("LabelParameterVersion", s.label, awsapi.On(func(_ *awsapi.Call, in *labelIn) []string {
				return one(in.Name)
			})),
			awsapi.Op("UnlabelParameterVersion", s.unlabel, awsapi.On(func(_ *awsapi.Call, in *labelIn) []string {
				return one(in.Name)
			})),
			awsapi.Op("AddTagsToResource", s.addTags, awsapi.On(func(_ *awsapi.Call, in *tagsIn) []string {
				return one(in.ResourceID)
			})),
			awsapi.Op("RemoveTagsFromResource", s.removeTags, awsapi.On(func(_ *awsapi.Call, in *tagsIn) []string {
				return one(in.ResourceID)
			})),
			awsapi.Op("ListTagsForResource", s.listTags, awsapi.On(func(_ *awsapi.Call, in *tagsIn) []string {
				return one(in.ResourceID)
			})),
		},
	}
}

// Wire shapes.
type (
	none struct{}
	tag  struct {
		Key   string `json:"Key" api:"min=1,max=128,pattern=tag text"`
		Value string `json:"Value" api:"max=256,pattern=tag text"`
	}
	putIn struct {
		Name           string `json:"Name" api:"min=1,max=2048"`
		Value          string `json:"Value"`
		Type           string `json:"Type" api:"values=SecureString|String|StringList"`
		Description    string `json:"Description" api:"max=1024"`
		KeyID          string `json:"KeyId" api:"min=1,max=256,pattern=parameter key id"`
		Overwrite      bool   `json:"Overwrite"`
		AllowedPattern string `json:"AllowedPattern" api:"max=1024"`
		Tags           []tag  `json:"Tags" api:"max=1000"`
		Tier           string `json:"Tier" api:"values=Advanced|Intelligent-Tiering|Standard"`
		Policies       string `json:"Policies" api:"min=1,max=4096"`
		DataType       string `json:"DataType" api:"max=128"`
	}
	putOut struct {
		Version int64  `json:"Version"`
		Tier    string `json:"Tier"`
	}
	getIn struct {
		Name           string `json:"Name" api:"min=1,max=2048"`
		WithDecryption bool   `json:"WithDecryption"`
	}
	parameterShape struct {
		Name             string      `json:"Name"`
		Type             string      `json:"Type"`
		Value            string      `json:"Value"`
		Version          int64       `json:"Version"`
		Selector         string      `json:"Selector,omitempty"`
		LastModifiedDate awsapi.Time `json:"LastModifiedDate"`
		ARN              string      `json:"ARN"`
		DataType         string      `json:"DataType"`
	}
	getOut struct {
		Parameter parameterShape `json:"Parameter"`
	}
	getManyIn struct {
		Names          []string `json:"Names" api:"min=1,max=10,each.min=1,each.max=2048"`
		WithDecryption bool     `json:"WithDecryption"`
	}
	getManyOut struct {
		Parameters        []parameterShape `json:"Parameters"`
		InvalidParameters []string         `json:"InvalidParameters"`
	}
	filter struct {
		Key    string   `json:"Key" api:"values=KeyId|Name|Type,min=1,max=132,pattern=parameter filter"`
		Option string   `json:"Option" api:"min=1,max=10"`
		Values []string `json:"Values" api:"min=1,max=50,each.min=1,each.max=1024"`
	}
	byPathIn struct {
		Path             string   `json:"Path" api:"min=1,max=2048"`
		Recursive        bool     `json:"Recursive"`
		WithDecryption   bool     `json:"WithDecryption"`
		ParameterFilters []filter `json:"ParameterFilters"`
		MaxResults       *int     `json:"MaxResults" api:"min=1,max=10"`
		NextToken        string   `json:"NextToken"`
	}
	byPathOut struct {
		Parameters []parameterShape `json:"Parameters"`
		NextToken  string           `json:"NextToken,omitempty"`
	}
	historyIn struct {
		Name           string `json:"Name" api:"min=1,max=2048"`
		WithDecryption bool   `json:"WithDecryption"`
		MaxResults     *int   `json:"MaxResults" api:"min=1,max=50"`
		NextToken      string `json:"NextToken"`
	}
	metadata struct {
		Name             string      `json:"Name"`
		ARN              string      `json:"ARN,omitempty"`
		Type             string      `json:"Type"`
		KeyID            string      `json:"KeyId,omitempty"`
		LastModifiedDate awsapi.Time `json:"LastModifiedDate"`
		LastModifiedUser string      `json:"LastModifiedUser"`
		Description      string      `json:"Description,omitempty"`
		Value            string      `json:"Value,omitempty"`
		AllowedPattern   string      `json:"AllowedPattern,omitempty"`
		Version          int64       `json:"Version"`
		Labels           []string    `json:"Labels,omitempty"`
		Tier             string      `json:"Tier"`
		Policies         []none      `json:"Policies"`
		DataType         string      `json:"DataType"`
	}
	listOut struct {
		Parameters []metadata `json:"Parameters"`
		NextToken  string     `json:"NextToken,omitempty"`
	}
	describeIn struct {
		ParameterFilters []filter `json:"ParameterFilters"`
		Filters          []filter `json:"Filters"`
		Shared           bool     `json:"Shared"`
		MaxResults       *int     `json:"MaxResults" api:"min=1,max=50"`
		NextToken        string   `json:"NextToken"`
	}
	nameIn struct {
		Name string `json:"Name" api:"min=1,max=2048"`
	}
	removedOut struct {
		DeletedParameters []string `json:"DeletedParameters"`
		InvalidParameters []string `json:"InvalidParameters"`
	}
	labelIn struct {
		Name             string   `json:"Name" api:"min=1,max=2048"`
		ParameterVersion int64    `json:"ParameterVersion"`
		Labels           []string `json:"Labels" api:"min=1,max=10,each.min=1,each.max=100"`
	}
	labelOut struct {
		InvalidLabels    []string `json:"InvalidLabels"`
		ParameterVersion int64    `json:"ParameterVersion"`
	}
	unlabelOut struct {
		RemovedLabels []string `json:"RemovedLabels"`
		InvalidLabels []string `json:"InvalidLabels"`
	}
	tagsIn struct {
		ResourceType string   `json:"ResourceType" api:"values=Document|ManagedInstance|MaintenanceWindow|Parameter|PatchBaseline|OpsItem|OpsMetadata|Automation|Association"`
		ResourceID   string   `json:"ResourceId"`
		Tags         []tag    `json:"Tags" api:"max=1000"`
		TagKeys      []string `json:"TagKeys" api:"each.min=1,each.max=128,each.pattern=tag text"`
	}
	tagsOut struct {
		TagList []tag `json:"TagList"`
	}
)

func (s *Service) put(ctx context.Context, c *awsapi.Call, in *putIn) (*putOut, error) {
	if err := s.checkName(in.Name); err != nil {
		return nil, err
	}
	v := version{
		Description: in.Description, Pattern: in.AllowedPattern, DataType: in.DataType, Type: in.Type, KeyID: in.KeyID,
		Value:    in.Value,
		Modified: s.config.Scheduler.Now(), By: c.Identity.ARN,
	}
	switch {
	case in.Policies != "":
		return nil, awsapi.NotBuilt("policies of SSM parameters")
	case in.DataType != "" && in.DataType != "text":
		return nil, awsapi.NotBuilt("SSM parameters of the data type " + in.DataType)
	case in.Value == "":
		return nil, invalid("1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member " +
			"must have length greater than or equal to 1.")
	case in.Overwrite && len(in.Tags) > 0:
		return nil, invalid("Invalid request: tags and overwrite can't be used together. To create a parameter " +
			"with tags, please remove overwrite flag. " +
			"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case len(in.Tags) > maxTags:
		return nil, awsapi.Errorf("TooManyTagsError", "A parameter has at most %d tags", maxTags)
	}
	v.DataType = "text"
	length := utf8.RuneCountInString(in.Value)
	if v.Tier = in.Tier; v.Tier == "Intelligent-Tiering" {
		if v.Tier = "Standard"; length > standard {
			v.Tier = "Advanced"
		}
	}
	if in.AllowedPattern != "" {
		re, err := regexp.Compile(`\A(?:` + in.AllowedPattern + `)\z`)
		if err != nil {
			return nil, awsapi.Errorf("InvalidAllowedPatternException", "The request isn't valid: %v", err)
		}
		if !re.MatchString(in.Value) {
			return nil, mismatch(in.AllowedPattern)
		}
	}
	var before parameter
	err := s.config.Store.View(func(tx *store.Tx) (err error) {
		before, _, err = parameters.Get(tx, in.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(before.Versions) > 0 {
		if !in.Overwrite {
			return nil, alreadyExists()
		}
		v.Type = cmp.Or(v.Type, before.latest().Type)
		v.Tier = cmp.Or(v.Tier, before.latest().Tier)
		if before.latest().Tier == "Advanced" && v.Tier == "Standard" {
			return nil, invalid("This parameter uses the advanced-parameter tier. You can't downgrade a parameter " +
				"from the advanced-parameter tier to the " +
				"standard-parameter tier.")
		}
		v.KeyID = cmp.Or(v.KeyID, before.latest().KeyID)
	}
	v.Tier = cmp.Or(v.Tier, "Standard")
	switch {
	case v.Type == "":
		return nil, invalid("A parameter type is required when you create a parameter.")
	case v.Type != "SecureString" && in.KeyID != "":
		return nil, invalid("KeyId is required for SecureString type parameters only.")
	case v.Tier == "Standard" && length > standard:
		return nil, invalid("Standard tier parameters support a maximum parameter value of %d characters. To "+
			"create a larger parameter value, upgrade the "+
			"parameter to use the advanced-parameter tier. For more information, see "+
			"https://docs.aws.amazon.com/systems-manager/latest/userguide/"+
			"parameter-store-advanced-parameters.html", standard)
	case length > advanced:
		return nil, invalid("Advanced tier parameters support a maximum parameter value of %d characters.", advanced)
	}
	if v.Type == "SecureString" {
		v.KeyID = cmp.Or(v.KeyID, defaultKey)
		if v.Value, err = s.seal(ctx, c, in.Name, v.KeyID, in.Value); err != nil {
			return nil, err
		}
	} else {
		v.KeyID = ""
	}
	err = s.config.Store.Update(func(tx *store.Tx) error {
		p, exists, err := parameters.Get(tx, in.Name)
		if err != nil {
			return err
		}
		if exists && !in.Overwrite {
			return alreadyExists()
		}
		if !exists {
			p = parameter{Name: in.Name, Tags: map[string]string{}}
			for _, t := range in.Tags {
				p.Tags[t.Key] = t.Value
			}
		}
		if v.Number = 1; exists {
			v.Number = p.latest().Number + 1
		}
		if len(p.Versions) == maxVersions {
			if len(p.Versions[0].Labels) > 0 {
				return tooManyVersions(in.Name)
			}
			p.Versions = p.Versions[1:]
		}
		p.Versions = append(p.Versions, v)
		return parameters.Put(tx, p, in.Name)
	})
	return &putOut{v.Number, v.Tier}, err
}

// fetch reads one parameter with its value.
func (s *Service) fetch(ctx context.Context, c *awsapi.Call, name string, decrypt bool) (parameterShape, error) {
	r := s.refer(name)
	var p parameter
	var v version
	err := s.config.Store.View(func(tx *store.Tx) (err error) {
		if p, err = s.findParameter(tx, r); err == nil {
			v, err = p.pick(r)
		}
		return err
	})
	if err != nil {
		return parameterShape{}, err
	}
	return s.shape(ctx, c, p, v, r.selector, decrypt)
}

func (s *Service) shape(ctx context.Context, c *awsapi.Call, p parameter, v version, selector string, decrypt bool) (
	parameterShape, error) {
	out := parameterShape{
		Name: p.Name, Type: v.Type, Value: v.Value, Version: v.Number, Selector: selector,
		LastModifiedDate: awsapi.Time{Time: v.Modified},
		ARN:              s.arn(p.Name), DataType: v.DataType,
	}
	var err error
	if v.Type == "SecureString" && decrypt {
		out.Value, err = s.open(ctx, c, p.Name, v.Value)
	}
	return out, err
}

func (s *Service) get(ctx context.Context, c *awsapi.Call, in *getIn) (*getOut, error) {
	p, err := s.fetch(ctx, c, in.Name, in.WithDecryption)
	return &getOut{p}, err
}

const maxNames = 10

func checkNames(names []string) error {
	if len(names) == 0 || len(names) > maxNames {
		return invalid("1 validation error detected: Value '[%s]' at 'names' failed to satisfy constraint: Member "+
			"must have length between 1 and %d",
			strings.Join(names, ", "), maxNames)
	}
	return nil
}

func (s *Service) getMany(ctx context.Context, c *awsapi.Call, in *getManyIn) (*getManyOut, error) {
	if err := checkNames(in.Names); err != nil {
		return nil, err
	}
	out := &getManyOut{Parameters: []parameterShape{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p, err := s.fetch(ctx, c, name, in.WithDecryption)
		switch awsapi.Code(err) {
		case "":
			out.Parameters = append(out.Parameters, p)
		case "ParameterNotFound", "ParameterVersionNotFound":
			out.InvalidParameters = append(out.InvalidParameters, name)
		default:
			return nil, err
		}
	}
	return out, nil
}

// errToken is for a token that no list returned.
var errToken = awsapi.Errorf("InvalidNextToken", "The specified token isn't valid.")

// scan lists the parameters below a path ("" for all) that pass the filters, a page at a time.
func (s *Service) scan(begins string, keep func(parameter) bool, limit int, token string) (list []parameter,
	next string, err error) {
	q := store.Query{Begins: begins}
	var ok bool
	if q.From, ok = awsapi.PageAfter(token, 1); !ok {
		return nil, "", errToken
	}
	err = s.config.Store.View(func(tx *store.Tx) error {
		for row, err := range parameters.Scan(tx, q) {
			if err != nil {
				return err
			}
			if !strings.HasPrefix(row.Value.Name, begins) {
				return nil
			}
			if !keep(row.Value) {
				continue
			}
			if len(list) == limit {
				next = awsapi.PageToken(row.Value.Name)
				return nil
			}
			list = append(list, row.Value)
		}
		return nil
	})
	return list, next, err
}

func (s *Service) byPath(ctx context.Context, c *awsapi.Call, in *byPathIn) (*byPathOut, error) {
	if !strings.HasPrefix(in.Path, "/") {
		return nil, invalid(`The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". It can't be ` +
			`prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), ` +
			`_ (underscore). Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol "/". Valid example: ` +
			`/get/parameters2-/by1./path0_.`)
	}
	for _, f := range in.ParameterFilters {
		if !slices.Contains([]string{"Type", "KeyId", "Label"}, f.Key) {
			return nil, awsapi.Errorf("InvalidFilterKey",
				"The following filter key is not valid: %s. Valid filter keys include: [Type, KeyId, Label].", f.Key)
		}
	}
	keep, err := matcher(in.ParameterFilters)
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(in.Path, "/") + "/"
	list, next, err := s.scan(path, func(p parameter) bool {
		return (in.Recursive || !strings.Contains(strings.TrimPrefix(p.Name, path), "/")) && keep(p)
	}, awsapi.PageSize(in.MaxResults, 10, 10), in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &byPathOut{Parameters: []parameterShape{}, NextToken: next}
	for _, p := range list {
		shape, err := s.shape(ctx, c, p, p.latest(), "", in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, shape)
	}
	return out, nil
}

// matcher compiles filters: a parameter must pass each.
func matcher(filters []filter) (func(parameter) bool, error) {
	var all []func(parameter) bool
	for _, f := range filters {
		of := func(get func(parameter) []string) {
			all = append(all, func(p parameter) bool {
				have := get(p)
				return slices.ContainsFunc(f.Values, func(want string) bool {
					return slices.ContainsFunc(have, func(h string) bool {
						switch f.Option {
						case "BeginsWith":
							return strings.HasPrefix(h, want)
						case "Contains":
							return strings.Contains(h, want)
						}
						return h == want
					})
				})
			})
		}
		switch {
		case f.Key == "Path":
			if !slices.Contains([]string{"", "Recursive", "OneLevel"}, f.Option) {
				return nil, awsapi.Errorf("InvalidFilterOption",
					"The following filter option is not valid: %s. Valid options include: [Recursive, OneLevel].",
					f.Option)
			}
			all = append(all, func(p parameter) bool {
				return slices.ContainsFunc(f.Values, func(path string) bool {
					rest, ok := strings.CutPrefix(p.Name, strings.TrimSuffix(path, "/")+"/")
					return ok && (f.Option == "Recursive" || !strings.Contains(rest, "/"))
				})
			})
			continue
		case !slices.Contains([]string{"", "Equals", "BeginsWith", "Contains"}, f.Option):
			return nil, awsapi.Errorf("InvalidFilterOption",
				"The following filter option is not valid: %s. Valid options include: [BeginsWith, Contains, "+
					"Equals].", f.Option)
		case f.Key == "Name":
			of(func(p parameter) []string { return []string{p.Name, strings.TrimPrefix(p.Name, "/")} })
		case f.Key == "Type":
			of(func(p parameter) []string { return []string{p.latest().Type} })
		case f.Key == "KeyId":
			of(func(p parameter) []string { return []string{p.latest().KeyID} })
		case f.Key == "Tier":
			of(func(p parameter) []string { return []string{p.latest().Tier} })
		case f.Key == "DataType":
			of(func(p parameter) []string { return []string{p.latest().DataType} })
		case f.Key == "Label":
			of(func(p parameter) []string { return p.latest().Labels })
		case strings.HasPrefix(f.Key, "tag:"):
			key := strings.TrimPrefix(f.Key, "tag:")
			all = append(all, func(p parameter) bool {
				value, ok := p.Tags[key]
				return ok && (len(f.Values) == 0 || slices.Contains(f.Values, value))
			})
		default:
			return nil, awsapi.Errorf("InvalidFilterKey",
				"The following filter key is not valid: %s. Valid filter keys include: [DataType, KeyId, Label, "+
					"Name, "+
					"Path, Tier, Type, tag:].", f.Key)
		}
	}
	return func(p parameter) bool {
		return !slices.ContainsFunc(all, func(keep func(parameter) bool) bool { return !keep(p) })
	}, nil
}

func (s *Service) meta(p parameter, v version) metadata {
	return metadata{
		Name: p.Name, ARN: s.arn(p.Name), Type: v.Type, KeyID: v.KeyID,
		LastModifiedDate: awsapi.Time{Time: v.Modified}, LastModifiedUser: v.By,
		Description: v.Description, AllowedPattern: v.Pattern, Version: v.Number, Tier: v.Tier, Policies: []none{},
		DataType: v.DataType,
	}
}

func (s *Service) describe(_ context.Context, _ *awsapi.Call, in *describeIn) (*listOut, error) {
	switch {
	case in.Shared:
		return nil, awsapi.NotBuilt("shared SSM parameters")
	case len(in.Filters) > 0 && len(in.ParameterFilters) > 0:
		return nil, invalid("You can use either Filters or ParameterFilters in a single request.")
	}
	keep, err := matcher(slices.Concat(in.Filters, in.ParameterFilters))
	if err != nil {
		return nil, err
	}
	list, next, err := s.scan("", keep, awsapi.PageSize(in.MaxResults, 50, 50), in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listOut{Parameters: []metadata{}, NextToken: next}
	for _, p := range list {
		out.Parameters = append(out.Parameters, s.meta(p, p.latest()))
	}
	return out, nil
}

func (s *Service) history(ctx context.Context, c *awsapi.Call, in *historyIn) (*listOut, error) {
	var p parameter
	err := s.config.Store.View(func(tx *store.Tx) (err error) {
		p, err = s.findParameter(tx, s.refer(in.Name))
		return err
	})
	if err != nil {
		return nil, err
	}
	from := int64(0)
	if in.NextToken != "" {
		if from, err = strconv.ParseInt(in.NextToken, 10, 64); err != nil {
			return nil, errToken
		}
	}
	out := &listOut{Parameters: []metadata{}}
	for _, v := range p.Versions {
		if v.Number < from {
			continue
		}
		if len(out.Parameters) == awsapi.PageSize(in.MaxResults, 50, 50) {
			out.NextToken = strconv.FormatInt(v.Number, 10)
			break
		}
		shape, err := s.shape(ctx, c, p, v, "", in.WithDecryption)
		if err != nil {
			return nil, err
		}
		m := s.meta(p, v)
		m.ARN, m.Value, m.Labels = "", shape.Value, v.Labels
		if m.Labels == nil {
			m.Labels = []string{}
		}
		out.Parameters = append(out.Parameters, m)
	}
	return out, nil
}

func (s *Service) remove(_ context.Context, _ *awsapi.Call, in *nameIn) (*none, error) {
	return &none{}, s.config.Store.Update(func(tx *store.Tx) error {
		p, err := s.findParameter(tx, s.refer(in.Name))
		if err != nil {
			return err
		}
		return parameters.Delete(tx, p.Name)
	})
}

func (s *Service) removeMany(ctx context.Context, c *awsapi.Call, in *getManyIn) (*removedOut, error) {
	if err := checkNames(in.Names); err != nil {
		return nil, err
	}
	out := &removedOut{DeletedParameters: []string{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		switch _, err := s.remove(ctx, c, &nameIn{name}); awsapi.Code(err) {
		case "":
			out.DeletedParameters = append(out.DeletedParameters, name)
		case "ParameterNotFound":
			out.InvalidParameters = append(out.InvalidParameters, name)
		default:
			return nil, err
		}
	}
	return out, nil
}

// change writes to one version of a parameter: the newest for 0.
func (s *Service) change(name string, number int64, fn func(p *parameter, v *version) error) (int64, error) {
	err := s.config.Store.Update(func(tx *store.Tx) error {
		p, err := s.findParameter(tx, s.refer(name))
		if err != nil {
			return err
		}
		if number == 0 {
			number = p.latest().Number
		}
		i := slices.IndexFunc(p.Versions, func(v version) bool { return v.Number == number })
		if i < 0 {
			return noVersion(number, name)
		}
		if err := fn(&p, &p.Versions[i]); err != nil {
			return err
		}
		return parameters.Put(tx, p, p.Name)
	})
	return number, err
}

var labelText = regexp.MustCompile(`^[a-zA-Z_.-][a-zA-Z0-9_.-]{0,99}$`)

// label moves labels to a version: each is on one version of a parameter.
func (s *Service) label(_ context.Context, _ *awsapi.Call, in *labelIn) (*labelOut, error) {
	out := &labelOut{InvalidLabels: []string{}}
	var valid []string
	for _, l := range in.Labels {
		if lower := strings.ToLower(l); labelText.MatchString(l) && !strings.HasPrefix(lower, "aws") &&
			!strings.HasPrefix(lower, "ssm") {
			valid = append(valid, l)
		} else {
			out.InvalidLabels = append(out.InvalidLabels, l)
		}
	}
	var err error
	out.ParameterVersion, err = s.change(in.Name, in.ParameterVersion, func(p *parameter, v *version) error {
		for i := range p.Versions {
			if p.Versions[i].Number != v.Number {
				p.Versions[i].Labels = slices.DeleteFunc(p.Versions[i].Labels, func(l string) bool {
					return slices.Contains(valid, l)
				})
			}
		}
		for _, l := range valid {
			if !slices.Contains(v.Labels, l) {
				v.Labels = append(v.Labels, l)
			}
		}
		slices.Sort(v.Labels)
		if len(v.Labels) > maxLabels {
			return awsapi.Errorf("ParameterVersionLabelLimitExceeded",
				"A version of a parameter can have a maximum of %d labels.", maxLabels)
		}
		return nil
	})
	return out, err
}

func (s *Service) unlabel(_ context.Context, _ *awsapi.Call, in *labelIn) (*unlabelOut, error) {
	out := &unlabelOut{RemovedLabels: []string{}, InvalidLabels: []string{}}
	if in.ParameterVersion == 0 {
		return nil, invalid("1 validation error detected: Value null at 'parameterVersion' failed to satisfy " +
			"constraint: Member must not be null")
	}
	_, err := s.change(in.Name, in.ParameterVersion, func(_ *parameter, v *version) error {
		for _, l := range in.Labels {
			if i := slices.Index(v.Labels, l); i >= 0 {
				v.Labels = slices.Delete(v.Labels, i, i+1)
				out.RemovedLabels = append(out.RemovedLabels, l)
			} else {
				out.InvalidLabels = append(out.InvalidLabels, l)
			}
		}
		return nil
	})
	return out, err
}

func (s *Service) changeTags(in *tagsIn, fn func(tags map[string]string)) (*none, error) {
	if in.ResourceType != "Parameter" {
		return nil, awsapi.NotBuilt("tags of " + in.ResourceType + " in Systems Manager")
	}
	_, err := s.change(in.ResourceID, 0, func(p *parameter, _ *version) error {
		if p.Tags == nil {
			p.Tags = map[string]string{}
		}
		fn(p.Tags)
		if len(p.Tags) > maxTags {
			return awsapi.Errorf("TooManyTagsError", "A parameter has at most %d tags", maxTags)
		}
		return nil
	})
	if awsapi.Code(err) == "ParameterNotFound" {
		err = awsapi.Errorf("InvalidResourceId",
			"The resource ID is not valid. Verify that you entered the correct ID and try again.")
	}
	return &none{}, err
}

func (s *Service) addTags(_ context.Context, _ *awsapi.Call, in *tagsIn) (*none, error) {
	return s.changeTags(in, func(tags map[string]string) {
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
	})
}

func (s *Service) removeTags(_ context.Context, _ *awsapi.Call, in *tagsIn) (*none, error) {
	return s.changeTags(in, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *tagsIn) (*tagsOut, error) {
	if in.ResourceType != "Parameter" {
		return nil, awsapi.NotBuilt("tags of " + in.ResourceType + " in Systems Manager")
	}
	out := &tagsOut{TagList: []tag{}}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		p, err := s.findParameter(tx, s.refer(in.ResourceID))
		if awsapi.Code(err) == "ParameterNotFound" {
			return awsapi.Errorf("InvalidResourceId",
				"The resource ID is not valid. Verify that you entered the correct ID and try again.")
		}
		for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
			out.TagList = append(out.TagList, tag{k, p.Tags[k]})
		}
		return err
	})
}
