package jsonata

type op uint8

const (
	// What the parser makes and the evaluator knows.
	opName op = iota
	opVariable
	opString
	opNumber
	opConstant
	opRegex
	opWildcard
	opDescendant
	opParent
	opBinary
	opNegate
	opArray
	opObject
	opBlock
	opCall
	opPartial
	opLambda
	opCondition
	opTransform
	opPlaceholder // the ? of a partial application

	// What the planner adds.
	opPath
	opSort
	opBind
	opApply
	opThunk

	// What the planner removes.
	opStep    // a . b
	opFilter  // a [ b ]
	opGroup   // a { ... }
	opFocus   // a @ $b
	opIndexBy // a # $b
	opKeyword // and, or, in where an operand is due
	opEnd
)

// node is a piece of an expression: as the parser found it, then, changed
// and joined by the planner, as the evaluator runs it. Nodes are never
// written to once Compile has returned.
type node struct {
	op  op
	pos int

	// text is the name, the variable, the string, or the operator.
	text string
	// val is the value of a literal, ready to be handed out.
	val any

	a, b, c *node      // operands; condition, then, else; pattern, update, delete
	list    []*node    // steps, elements, arguments, expressions
	pairs   [][2]*node // key and value expressions
	terms   []sortTerm

	// predicates follow a node that is not a step, stages one that is.
	predicates []*node
	stages     []stage
	group      *group

	keepArray     bool // [] was written after it
	keepSingleton bool // of a path: one of its steps has keepArray
	consArray     bool // array constructor at an end of a path
	tuple         bool // step: makes tuples; path: hands them on
	focus, index  string
	ancestor      *slot // a step whose context % reads
	slot          *slot // of opParent
	seeking       []*slot

	lambda *lambdaDef
	regex  *regex
	// builtin is what a variable means when nobody has bound it.
	builtin function
	binop   binop
	// newFrame says that a block binds variables of its own.
	newFrame bool
	// plain says that a path consists of names after an optional variable.
	plain bool
	// keys are the keys of an object constructor, when all are literals.
	keys []string
}

type sortTerm struct {
	expr       *node
	descending bool
}

// stage is a filter or, where expr is nil, the binding of a position.
type stage struct {
	expr  *node
	index string
}

type group struct {
	pairs [][2]*node
	pos   int
}

type lambdaDef struct {
	params []string
	sig    *signature
	body   *node
}

// slot is where a step leaves its context for a % further on.
type slot struct {
	label string
	level int
}

type binop uint8

const (
	binAdd binop = iota
	binSub
	binMul
	binDiv
	binMod
	binEq
	binNe
	binLt
	binLe
	binGt
	binGe
	binConcat
	binRange
	binIn
	binAnd
	binOr
)

var binops = map[string]binop{
	"+": binAdd, "-": binSub, "*": binMul, "/": binDiv, "%": binMod,
	"=": binEq, "!=": binNe, "<": binLt, "<=": binLe, ">": binGt, ">=": binGe,
	"&": binConcat, "..": binRange, "in": binIn, "and": binAnd, "or": binOr,
}
