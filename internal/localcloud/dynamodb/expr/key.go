package expr

// KeyCondition is a key condition expression: equality on the partition key
// and at most one condition on the sort key.
type KeyCondition struct {
	Partition Value
	// Op on the sort key: "", "=", "<", "<=", ">", ">=", "BETWEEN", "begins_with".
	Op     string
	Values []Value
}

// ParseKeyCondition parses a KeyConditionExpression for a table with the given
// key attributes; sort is "" if there is none.
func ParseKeyCondition(src string, names *Names, partition, sort string) (*KeyCondition, error) {
	const what = "KeyConditionExpression"
	c, err := ParseCondition(what, src, names)
	if err != nil {
		return nil, err
	}
	parts := []*Condition{c}
	if c.op == "AND" {
		parts = c.args
	}
	k := &KeyCondition{}
	havePartition := false
	for _, part := range parts {
		switch part.op {
		case "OR", "NOT", "<>", "IN", "contains", "attribute_exists", "attribute_not_exists", "attribute_type":
			return nil, errorf("Invalid operator used in %s: %s", what, part.op)
		case "AND":
			return nil, errorf("Conditions can be of length 1 or 2 only")
		}
		left, rest := part.operands[0], part.operands[1:]
		if left.path == nil && len(rest) == 1 && rest[0].path != nil { // :v = key
			left, rest = rest[0], []operand{left}
			part = &Condition{op: map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}[part.op]}
		}
		if left.path == nil || left.size || len(left.path) != 1 {
			return nil, errorf("Invalid %s: KeyConditionExpressions must have key attributes on their left side", what)
		}
		values := make([]Value, len(rest))
		for i, o := range rest {
			if o.path != nil || o.size {
				return nil, errorf("Invalid condition in %s: Multiple attribute names used in one condition", what)
			}
			values[i] = o.value
		}
		switch name := left.path.Root(); {
		case name == partition && !havePartition:
			if part.op != "=" {
				return nil, errorf("Query key condition not supported")
			}
			k.Partition, havePartition = values[0], true
		case name == sort && sort != "" && k.Op == "":
			k.Op, k.Values = part.op, values
		case name == partition || name == sort:
			return nil, errorf("%s must only contain one condition per key", what+"s")
		default:
			return nil, errorf("Query condition missed key schema element: %s", partition)
		}
	}
	if !havePartition {
		return nil, errorf("Query condition missed key schema element: %s", partition)
	}
	return k, nil
}

// Matches reports whether a sort key meets the condition.
func (k *KeyCondition) Matches(sort Value) bool {
	if k.Op == "" {
		return true
	}
	c := Condition{op: k.Op, operands: []operand{{value: sort}}}
	for _, v := range k.Values {
		c.operands = append(c.operands, operand{value: v})
	}
	return c.Eval(nil)
}
