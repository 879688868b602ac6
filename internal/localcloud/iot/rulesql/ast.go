package rulesql

// The tree. Nodes are made by the parser, completed by the checker (call.fn,
// call.pattern) and not changed afterwards.

type node interface{ pos() int }

type at int

func (a at) pos() int { return int(a) }

type (
	// literal is a number, string, Boolean or NULL.
	literal struct {
		at
		value Value
	}
	// name is the first part of a path: an alias, a member of the element,
	// or a member of the payload.
	name struct {
		at
		text string
	}
	// variable is @name; index is its place in SET.
	variable struct {
		at
		text  string
		index int
	}
	// star is "*", the payload or the element.
	star struct{ at }
	// member is x.key.
	member struct {
		at
		of  node
		key string
	}
	array struct {
		at
		items []node
	}
	object struct {
		at
		keys   []string
		values []node
	}
	unary struct {
		at
		op string // "-", "NOT"
		x  node
	}
	binary struct {
		at
		op   string
		x, y node
	}
	cases struct {
		at
		of     node
		when   []node
		then   []node
		orElse node
	}
	exists struct {
		at
		query *query
	}
	// call is a function; a cast carries its type as the second argument.
	call struct {
		at
		name    string
		args    []node
		fn      *function
		pattern *pattern // compiled from a constant argument
	}
	// query is a SELECT: nested (from is a node) or the statement's own.
	query struct {
		at
		value bool
		items []item
		from  node
		alias string
		where node
	}
)

// item is one item of a SELECT.
type item struct {
	x    node
	as   []string // AS a.b; nil without alias
	key  string   // worked out by the checker for items without alias
	star bool
}
