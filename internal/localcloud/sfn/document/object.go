package document

// Member is a name and its value.
type Member struct {
	Name  string
	Value any
}

// indexFrom is the number of members from which an object keeps an index.
const indexFrom = 12

// Object is a JSON object whose members keep their order. The zero Object is
// empty. Set is for building; an object that others may see is not changed, but
// copied by With.
type Object struct {
	members []Member
	index   map[string]int
}

// NewObject makes an object of members; of equal names the last counts.
func NewObject(members ...Member) *Object {
	o := &Object{members: make([]Member, 0, len(members))}
	for _, m := range members {
		o.Set(m.Name, m.Value)
	}
	return o
}

func (o *Object) find(name string) int {
	if o.index != nil {
		if i, ok := o.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range o.members {
		if o.members[i].Name == name {
			return i
		}
	}
	return -1
}

// Get returns the value of a member.
func (o *Object) Get(name string) (any, bool) {
	if i := o.find(name); i >= 0 {
		return o.members[i].Value, true
	}
	return nil, false
}

// Set adds a member or replaces its value.
func (o *Object) Set(name string, value any) {
	if i := o.find(name); i >= 0 {
		o.members[i].Value = value
		return
	}
	o.members = append(o.members, Member{name, value})
	if o.index != nil {
		o.index[name] = len(o.members) - 1
	} else if len(o.members) >= indexFrom {
		o.index = make(map[string]int, 2*len(o.members))
		for i, m := range o.members {
			o.index[m.Name] = i
		}
	}
}

// With returns a copy of the object with a member added or replaced.
func (o *Object) With(name string, value any) *Object {
	c := &Object{members: make([]Member, len(o.members), len(o.members)+1)}
	copy(c.members, o.members)
	if o.index != nil {
		c.index = make(map[string]int, len(o.index)+1)
		for k, v := range o.index {
			c.index[k] = v
		}
	}
	c.Set(name, value)
	return c
}

// Without returns a copy of the object without a member.
func (o *Object) Without(name string) *Object {
	c := &Object{}
	for _, m := range o.members {
		if m.Name != name {
			c.Set(m.Name, m.Value)
		}
	}
	return c
}

// Len is the number of members.
func (o *Object) Len() int { return len(o.members) }

// Members are the members in order; the slice is not to be changed.
func (o *Object) Members() []Member { return o.members }

// MarshalJSON implements json.Marshaler.
func (o *Object) MarshalJSON() ([]byte, error) { return Append(nil, o), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(b []byte) error {
	v, err := Parse(b)
	if err != nil {
		return err
	}
	p, ok := v.(*Object)
	if !ok {
		return &SyntaxError{Offset: 0, Message: "not an object"}
	}
	*o = *p
	return nil
}
