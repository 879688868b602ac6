package jsonata

import "maps"

// library is the set of functions an expression is compiled against.
type library struct {
	functions map[string]function
	java      bool // as AWS has it: what Java has otherwise than JavaScript is as in Java
}

type builtin func(m *machine, args []any, site *callSite) any

// define describes a function by its signature and by how many arguments
// higher-order functions shall pass it.
func define(name, sig string, arity int, call builtin) *native {
	return &native{name: name, sig: mustSignature(sig), arity: arity, call: call}
}

// The libraries are made by init, as $eval refers back to them.
var standardLibrary, stepFunctionsLibrary *library

func init() {
	standard := []*native{
		define("sum", "<a<n>:n>", 1, fnSum),
		define("count", "<a:n>", 1, fnCount),
		define("max", "<a<n>:n>", 1, fnMax),
		define("min", "<a<n>:n>", 1, fnMin),
		define("average", "<a<n>:n>", 1, fnAverage),
		define("string", "<x-b?:s>", 1, fnString),
		define("substring", "<s-nn?:s>", 3, fnSubstring),
		define("substringBefore", "<s-s:s>", 2, fnSubstringBefore),
		define("substringAfter", "<s-s:s>", 2, fnSubstringAfter),
		define("lowercase", "<s-:s>", 1, fnLowercase),
		define("uppercase", "<s-:s>", 1, fnUppercase),
		define("length", "<s-:n>", 1, fnLength),
		define("trim", "<s-:s>", 1, fnTrim),
		define("pad", "<s-ns?:s>", 3, fnPad),
		define("match", "<s-f<s:o>n?:a<o>>", 3, fnMatch),
		define("contains", "<s-(sf):b>", 2, fnContains),
		define("replace", "<s-(sf)(sf)n?:s>", 4, fnReplace),
		define("split", "<s-(sf)n?:a<s>>", 3, fnSplit),
		define("join", "<a<s>s?:s>", 2, fnJoin),
		define("formatNumber", "<n-so?:s>", 3, fnFormatNumber),
		define("formatBase", "<n-n?:s>", 2, fnFormatBase),
		define("formatInteger", "<n-s:s>", 2, fnFormatInteger),
		define("parseInteger", "<s-s:n>", 2, fnParseInteger),
		define("number", "<(nsb)-:n>", 1, fnNumber),
		define("floor", "<n-:n>", 1, fnFloor),
		define("ceil", "<n-:n>", 1, fnCeil),
		define("round", "<n-n?:n>", 2, fnRound),
		define("abs", "<n-:n>", 1, fnAbs),
		define("sqrt", "<n-:n>", 1, fnSqrt),
		define("power", "<n-n:n>", 2, fnPower),
		define("random", "<:n>", 0, fnRandom),
		define("boolean", "<x-:b>", 1, fnBoolean),
		define("not", "<x-:b>", 1, fnNot),
		define("map", "<af>", 2, fnMap),
		define("zip", "<a+>", 0, fnZip),
		define("filter", "<af>", 2, fnFilter),
		define("single", "<af?>", 2, fnSingle),
		define("reduce", "<afj?:j>", 3, fnReduce),
		define("sift", "<o-f?:o>", 2, fnSift),
		define("keys", "<x-:a<s>>", 1, fnKeys),
		define("lookup", "<x-s:x>", 2, fnLookup),
		define("append", "<xx:a>", 2, fnAppend),
		define("exists", "<x:b>", 1, fnExists),
		define("spread", "<x-:a<o>>", 1, fnSpread),
		define("merge", "<a<o>:o>", 1, fnMerge),
		define("reverse", "<a:a>", 1, fnReverse),
		define("each", "<o-f:a>", 2, fnEach),
		define("error", "<s?:x>", 1, fnError),
		define("assert", "<bs?:x>", 2, fnAssert),
		define("type", "<x:s>", 1, fnType),
		define("sort", "<af?:a>", 2, fnSort),
		define("shuffle", "<a:a>", 1, fnShuffle),
		define("distinct", "<x:x>", 1, fnDistinct),
		define("base64encode", "<s-:s>", 1, fnBase64Encode),
		define("base64decode", "<s-:s>", 1, fnBase64Decode),
		define("encodeUrlComponent", "<s-:s>", 1, fnEncodeURLComponent),
		define("encodeUrl", "<s-:s>", 1, fnEncodeURL),
		define("decodeUrlComponent", "<s-:s>", 1, fnDecodeURLComponent),
		define("decodeUrl", "<s-:s>", 1, fnDecodeURL),
		define("eval", "<sx?:x>", 2, fnEval),
		define("toMillis", "<s-s?:n>", 2, fnToMillis),
		define("fromMillis", "<n-s?s?:s>", 3, fnFromMillis),
		define("clone", "<(oa)-:o>", 1, fnClone),
		define("now", "<s?s?:s>", 2, fnNow),
		define("millis", "<:n>", 0, fnMillis),
	}
	standardLibrary = &library{functions: map[string]function{}}
	for _, f := range standard {
		standardLibrary.functions[f.name] = f
	}
	stepFunctionsLibrary = &library{functions: maps.Clone(standardLibrary.functions), java: true}
	delete(stepFunctionsLibrary.functions, "eval")
	for _, f := range []*native{
		define("base64encode", "<s-:s>", 1, fnJavaBase64Encode),
		define("base64decode", "<s-:s>", 1, fnJavaBase64Decode),
		define("decodeUrlComponent", "<s-:s>", 1, fnJavaDecodeURL),
		define("substring", "<s-nn?:s>", 3, fnJavaSubstring),
		define("partition", "<x?n?:a>", 2, fnPartition),
		define("range", "<n?n?n?:a>", 3, fnRange),
		{name: "hash", arity: 2, call: fnHash},
		define("random", "<n?:n>", 1, fnRandom),
		define("uuid", "<:s>", 0, fnUUID),
		define("parse", "<s-:x>", 1, fnParse),
	} {
		stepFunctionsLibrary.functions[f.name] = f
	}
}

func (o *options) library() *library {
	lib := standardLibrary
	if o.stepFunctions {
		lib = stepFunctionsLibrary
	}
	if len(o.without) == 0 && len(o.functions) == 0 {
		return lib
	}
	own := &library{functions: maps.Clone(lib.functions), java: lib.java}
	for _, name := range o.without {
		delete(own.functions, name)
	}
	for name, f := range o.functions {
		own.functions[name] = f
	}
	return own
}
