package rulesql

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
)

// function is one function of the language. Exactly one of plain and special
// is set: plain gets its arguments evaluated.
type function struct {
	modern   bool // needs 2016-03-23
	external bool // calls another service
	limit    int  // uses per statement; 0 for any number
	pattern  int  // index of an argument that is a regular expression; 0 for none
	plain    func(f *frame, args []Value) Value
	special  func(f *frame, n *call) (Value, error)
}

func (f *frame) call(n *call) (Value, error) {
	if n.fn.special != nil {
		return n.fn.special(f, n)
	}
	args, err := f.evalAll(n.args)
	if err != nil {
		return Value{}, err
	}
	if n.pattern != nil {
		args = append(args, Value{ref: n.pattern}) // behind the arguments, for patternOf
	}
	return n.fn.plain(f, args), nil
}

var functions map[string]*function

func init() {
	functions = map[string]*function{
		"abs":        {plain: numeric1(absolute)},
		"acos":       {plain: float1(math.Acos)},
		"asin":       {plain: float1(math.Asin)},
		"atan":       {plain: float1(math.Atan)},
		"atan2":      {plain: float2(math.Atan2)},
		"cos":        {plain: float1(math.Cos)},
		"cosh":       {plain: float1(math.Cosh)},
		"sin":        {plain: float1(math.Sin)},
		"sinh":       {plain: float1(math.Sinh)},
		"tan":        {plain: float1(math.Tan)},
		"tanh":       {plain: float1(math.Tanh)},
		"exp":        {plain: float1(math.Exp)},
		"ln":         {plain: float1(math.Log)},
		"log":        {plain: float1(math.Log10)},
		"sqrt":       {plain: float1(math.Sqrt)},
		"power":      {plain: float2(math.Pow)},
		"bitand":     {plain: bits2(func(a, b int64) int64 { return a & b })},
		"bitor":      {plain: bits2(func(a, b int64) int64 { return a | b })},
		"bitxor":     {plain: bits2(func(a, b int64) int64 { return a ^ b })},
		"bitnot":     {plain: bitNot},
		"ceil":       {plain: numeric1(func(v Value) Value { return negate(round(negate(v), downward)) })},
		"floor":      {plain: numeric1(func(v Value) Value { return round(v, downward) })},
		"round":      {plain: numeric1(func(v Value) Value { return round(v, nearest) })},
		"trunc":      {plain: truncate},
		"mod":        {plain: remainder},
		"remainder":  {plain: remainder},
		"sign":       {plain: numeric1(sign)},
		"nanvl":      {plain: nanvl},
		"rand":       {plain: func(f *frame, a []Value) Value { return floatValue(f.in.random.Float64()) }},
		"chr":        {plain: chr},
		"concat":     {plain: concat},
		"endswith":   {plain: text2(func(a, b string) Value { return BooleanValue(strings.HasSuffix(a, b)) })},
		"startswith": {plain: text2(func(a, b string) Value { return BooleanValue(strings.HasPrefix(a, b)) })},
		"indexof":    {modern: true, plain: indexOf},
		"length": {modern: true, plain: text1(func(s string) Value {
			return IntValue(int64(utf8.RuneCountInString(s)))
		})},
		"numbytes":    {modern: true, plain: text1(func(s string) Value { return IntValue(int64(len(s))) })},
		"lower":       {plain: text1(func(s string) Value { return StringValue(strings.ToLower(s)) })},
		"upper":       {plain: text1(func(s string) Value { return StringValue(strings.ToUpper(s)) })},
		"lpad":        {plain: pad(func(s, blanks string) string { return blanks + s })},
		"rpad":        {plain: pad(func(s, blanks string) string { return s + blanks })},
		"ltrim":       {plain: text1(func(s string) Value { return StringValue(strings.TrimLeft(s, " \t")) })},
		"rtrim":       {plain: text1(func(s string) Value { return StringValue(strings.TrimRight(s, " \t")) })},
		"trim":        {plain: text1(func(s string) Value { return StringValue(strings.Trim(s, " \t")) })},
		"replace":     {plain: replace},
		"substring":   {plain: substring},
		"newuuid":     {plain: func(f *frame, a []Value) Value { return StringValue(f.in.random.UUID()) }},
		"md5":         {plain: digest(func(b []byte) []byte { h := md5.Sum(b); return h[:] })},
		"md2":         {plain: digest(md2)},
		"sha1":        {plain: digest(func(b []byte) []byte { h := sha1.Sum(b); return h[:] })},
		"sha224":      {plain: digest(func(b []byte) []byte { h := sha256.Sum224(b); return h[:] })},
		"sha256":      {plain: digest(func(b []byte) []byte { h := sha256.Sum256(b); return h[:] })},
		"sha384":      {plain: digest(func(b []byte) []byte { h := sha512.Sum384(b); return h[:] })},
		"sha512":      {plain: digest(func(b []byte) []byte { h := sha512.Sum512(b); return h[:] })},
		"get":         {plain: get},
		"isnull":      {plain: func(f *frame, a []Value) Value { return is(a, Null) }},
		"isundefined": {modern: true, plain: func(f *frame, a []Value) Value { return is(a, Undefined) }},
		"transform":   {modern: true, plain: transform},
		"sql_version": {plain: func(f *frame, a []Value) Value { return StringValue(f.version) }},
		"accountid":   {plain: func(f *frame, a []Value) Value { return StringValue(f.in.AccountID) }},
		"clientid":    {plain: clientID},
		"principal":   {plain: func(f *frame, a []Value) Value { return someText(f.in.Principal) }},
		"sourceip":    {plain: func(f *frame, a []Value) Value { return someText(f.in.SourceIP) }},
		"traceid":     {plain: func(f *frame, a []Value) Value { return someText(f.in.TraceID) }},
		"timestamp":   {plain: func(f *frame, a []Value) Value { return IntValue(f.in.Time.UnixMilli()) }},
		"topic":       {plain: topicSegment},
		"parse_time":  {modern: true, plain: parseTime},

		"regexp_matches":   {pattern: 1, plain: regexpMatches},
		"regexp_replace":   {pattern: 1, plain: regexpReplace},
		"regexp_substr":    {pattern: 1, plain: regexpSubstr},
		"time_to_epoch":    {modern: true, plain: timeToEpoch},
		"cast":             {plain: cast},
		"encode":           {modern: true, special: encode},
		"decode":           {modern: true, special: decode},
		"get_or_default":   {modern: true, special: getOrDefault},
		"get_secret":       {modern: true, external: true, special: getSecret},
		"aws_lambda":       {external: true, special: awsLambda},
		"get_dynamodb":     {modern: true, external: true, limit: 1, special: getDynamoDB},
		"get_thing_shadow": {modern: true, external: true, special: getThingShadow},

		"get_registry_data":   {modern: true, external: true, limit: 1, special: getRegistryData},
		"get_mqtt_property":   {modern: true, plain: mqttProperty},
		"get_user_properties": {modern: true, plain: userProperties},
	}
}

func someText(s string) Value {
	if s == "" {
		return Value{}
	}
	return StringValue(s)
}

// argument is an argument, Undefined if there are fewer.
func argument(args []Value, i int) Value {
	if i < len(args) {
		return args[i]
	}
	return Value{}
}

func numeric1(do func(Value) Value) func(*frame, []Value) Value {
	return func(_ *frame, a []Value) Value {
		if len(a) != 1 {
			return Value{}
		}
		v, ok := a[0].toNumber()
		if !ok {
			return Value{}
		}
		return do(v)
	}
}

func float1(do func(float64) float64) func(*frame, []Value) Value {
	return func(_ *frame, a []Value) Value {
		if len(a) != 1 {
			return Value{}
		}
		x, ok := a[0].toFloat()
		if !ok {
			return Value{}
		}
		return floatValue(do(x))
	}
}

func float2(do func(a, b float64) float64) func(*frame, []Value) Value {
	return func(_ *frame, a []Value) Value {
		if len(a) != 2 {
			return Value{}
		}
		x, xok := a[0].toFloat()
		y, yok := a[1].toFloat()
		if !xok || !yok {
			return Value{}
		}
		return floatValue(do(x, y))
	}
}

// toInt64 is an argument of the bit functions, rounded down.
func (v Value) toInt64() (int64, bool) {
	n, ok := v.toNumber()
	if !ok {
		return 0, false
	}
	n = round(n, downward)
	return n.i, n.kind == Int && n.ref == nil
}

func bits2(do func(a, b int64) int64) func(*frame, []Value) Value {
	return func(_ *frame, a []Value) Value {
		x, xok := argument(a, 0).toInt64()
		y, yok := argument(a, 1).toInt64()
		if len(a) != 2 || !xok || !yok {
			return Value{}
		}
		return IntValue(do(x, y))
	}
}

func bitNot(_ *frame, a []Value) Value {
	x, ok := argument(a, 0).toInt64()
	if len(a) != 1 || !ok {
		return Value{}
	}
	return IntValue(^x)
}

func absolute(v Value) Value {
	if v.decimal().Negative {
		return negate(v)
	}
	return v
}

func sign(v Value) Value { return IntValue(int64(v.decimal().Sign())) }

func truncate(_ *frame, a []Value) Value {
	v, ok := argument(a, 0).toNumber()
	places, pok := argument(a, 1).toIndex()
	if len(a) != 2 || !ok || !pok {
		return Value{}
	}
	if v.kind == Int {
		return v
	}
	places = max(0, min(34, places))
	d, r := v.decimal(), new(apd.Decimal)
	r.Set(d)
	if d.Exponent < int32(-places) {
		c := *integers
		c.Rounding = apd.RoundDown
		if _, err := c.Quantize(r, d, int32(-places)); err != nil {
			return Value{}
		}
	}
	r.Reduce(r)
	if r.Exponent >= 0 {
		return integerValue(r)
	}
	return decimalValue(r)
}

func remainder(_ *frame, a []Value) Value {
	if len(a) != 2 {
		return Value{}
	}
	v, err := operate("%", a[0], a[1])
	if err != nil {
		return Value{}
	}
	return v
}

func nanvl(_ *frame, a []Value) Value {
	if len(a) != 2 {
		return Value{}
	}
	if a[0].kind == Undefined || a[0].kind == Null {
		return a[1]
	}
	return a[0]
}

func text1(do func(string) Value) func(*frame, []Value) Value {
	return func(_ *frame, a []Value) Value {
		if len(a) != 1 {
			return Value{}
		}
		s, ok := a[0].toText()
		if !ok {
			return Value{}
		}
		return do(s)
	}
}

func text2(do func(a, b string) Value) func(*frame, []Value) Value {
	return func(_ *frame, a []Value) Value {
		x, xok := argument(a, 0).toText()
		y, yok := argument(a, 1).toText()
		if len(a) != 2 || !xok || !yok {
			return Value{}
		}
		return do(x, y)
	}
}

func chr(_ *frame, a []Value) Value {
	n, ok := argument(a, 0).toIndex()
	if len(a) != 1 || !ok || n < 0 || n > 127 {
		return Value{}
	}
	return StringValue(string(rune(n)))
}

func concat(_ *frame, a []Value) Value {
	switch len(a) {
	case 0:
		return Value{}
	case 1:
		return a[0]
	}
	arrays, strings := false, false
	for _, v := range a {
		arrays = arrays || v.kind == Array
		strings = strings || v.kind == String
	}
	if arrays {
		var out []Value
		for _, v := range a {
			if v.kind == Array {
				out = append(out, v.items()...)
			} else if v.kind != Undefined {
				out = append(out, v)
			}
		}
		return ArrayValue(out...)
	}
	if !strings {
		return Value{}
	}
	var out []byte
	for _, v := range a {
		s, ok := v.toText()
		if !ok {
			return Value{}
		}
		out = append(out, s...)
	}
	return StringValue(string(out))
}

func indexOf(_ *frame, a []Value) Value {
	if argument(a, 0).kind == Array || argument(a, 1).kind == Array {
		return Value{}
	}
	return text2(func(s, t string) Value {
		i := strings.Index(s, t)
		if i >= 0 {
			i = utf8.RuneCountInString(s[:i])
		}
		return IntValue(int64(i))
	})(nil, a)
}

func pad(do func(s, blanks string) string) func(*frame, []Value) Value {
	return func(_ *frame, a []Value) Value {
		s, ok := argument(a, 0).toText()
		n, nok := argument(a, 1).toIndex()
		if len(a) != 2 || !ok || !nok {
			return Value{}
		}
		return StringValue(do(s, strings.Repeat(" ", max(0, min(1000, n)))))
	}
}

func replace(_ *frame, a []Value) Value {
	if len(a) != 3 {
		return Value{}
	}
	s, sok := a[0].toText()
	old, ook := a[1].toText()
	by, bok := a[2].toText()
	if !sok || !ook || !bok || (old == "" && len(s) > maxSize) || tooLong(s, old, by) {
		return Value{}
	}
	return StringValue(strings.ReplaceAll(s, old, by))
}

func tooLong(s, old, by string) bool {
	return len(s)+strings.Count(s, old)*len(by) > 8*maxSize
}

func substring(_ *frame, a []Value) Value {
	if len(a) != 2 && len(a) != 3 {
		return Value{}
	}
	s, ok := a[0].toText()
	from, fok := a[1].toIndex()
	if !ok || !fok {
		return Value{}
	}
	runes := []rune(s)
	to := len(runes)
	if len(a) == 3 {
		if to, ok = a[2].toIndex(); !ok {
			return Value{}
		}
	}
	from, to = max(0, min(len(runes), from)), max(0, min(len(runes), to))
	if from >= to {
		return StringValue("")
	}
	return StringValue(string(runes[from:to]))
}

func digest(do func([]byte) []byte) func(*frame, []Value) Value {
	return text1(func(s string) Value { return StringValue(hex.EncodeToString(do([]byte(s)))) })
}

func get(_ *frame, a []Value) Value {
	if len(a) != 2 {
		return Value{}
	}
	switch c, k := a[0], a[1]; c.kind {
	case Object:
		if k.kind == String {
			return c.Member(k.s)
		}
	case Array:
		if k.kind == Int && k.ref == nil && k.i >= 0 && k.i < int64(len(c.items())) {
			return c.items()[k.i]
		}
	case String:
		runes := []rune(c.s)
		if k.kind == Int && k.ref == nil && k.i >= 0 && k.i < int64(len(runes)) {
			return StringValue(string(runes[k.i]))
		}
	}
	return Value{}
}

func is(a []Value, k Kind) Value {
	if len(a) != 1 {
		return Value{}
	}
	return BooleanValue(a[0].kind == k)
}

func transform(_ *frame, a []Value) Value {
	if len(a) != 3 || a[0].kind != String || a[0].s != "enrichArray" || a[1].kind != Object || a[2].kind != Array {
		return Value{}
	}
	var out []Value
	size := 0
	for _, e := range a[2].items() {
		if e.kind != Object {
			return Value{}
		}
		o := &members{}
		e.Each(o.set)
		a[1].Each(o.set)
		v := Value{kind: Object, ref: o}
		if size += len(v.AppendJSON(nil)); size > maxSize {
			return Value{}
		}
		out = append(out, v)
	}
	return ArrayValue(out...)
}

func clientID(f *frame, _ []Value) Value {
	if f.in.ClientID == "" {
		return StringValue("n/a")
	}
	return StringValue(f.in.ClientID)
}

func topicSegment(f *frame, a []Value) Value {
	switch len(a) {
	case 0:
		return StringValue(f.in.Topic)
	case 1:
		n, ok := a[0].toIndex()
		if !ok || n < 1 {
			return Value{}
		}
		rest := f.in.Topic
		for {
			level, after, more := strings.Cut(rest, "/")
			if n--; n == 0 {
				return StringValue(level)
			}
			if !more {
				return Value{}
			}
			rest = after
		}
	}
	return Value{}
}

func mqttProperty(f *frame, a []Value) Value {
	if len(a) != 1 || a[0].kind != String {
		return Value{}
	}
	switch a[0].s {
	case "content_type":
		return someText(f.in.ContentType)
	case "response_topic":
		return someText(f.in.ResponseTopic)
	case "correlation_data":
		if f.in.CorrelationData == nil {
			return Value{}
		}
		return StringValue(base64.StdEncoding.EncodeToString(f.in.CorrelationData))
	case "format_indicator":
		if f.in.PayloadFormat == 1 {
			return StringValue("UTF8_DATA")
		}
		return StringValue("UNSPECIFIED_BYTES")
	}
	return Value{}
}

func userProperties(f *frame, a []Value) Value {
	var out []Value
	switch len(a) {
	case 0:
		for _, p := range f.in.UserProperties {
			o := &members{}
			o.set(p[0], StringValue(p[1]))
			out = append(out, Value{kind: Object, ref: o})
		}
	case 1:
		if a[0].kind != String {
			return Value{}
		}
		for _, p := range f.in.UserProperties {
			if p[0] == a[0].s {
				out = append(out, StringValue(p[1]))
			}
		}
	}
	if out == nil {
		return Value{}
	}
	return ArrayValue(out...)
}

// castType is what cast makes of a word.
type castType struct {
	to     Kind
	modern bool
}

var castTypes = map[string]castType{
	"string": {to: String}, "nvarchar": {to: String}, "text": {to: String}, "ntext": {to: String},
	"varchar": {to: String},
	"int":     {to: Int}, "integer": {to: Int}, "double": {to: Decimal},
	"decimal": {to: Decimal, modern: true}, "bool": {to: Boolean, modern: true},
	"boolean": {to: Boolean, modern: true},
}

func cast(f *frame, a []Value) Value {
	v := a[0]
	to := castTypes[a[1].s].to
	if v.kind == Null || v.kind == Undefined || v.kind == Binary {
		return Value{}
	}
	switch to {
	case String:
		s, ok := v.toText()
		if !ok {
			return Value{}
		}
		return StringValue(s)
	case Boolean:
		if v.number() {
			return BooleanValue(!v.decimal().IsZero())
		}
		b, ok := v.toBoolean()
		if !ok {
			return Value{}
		}
		return BooleanValue(b)
	}
	if v.kind == Boolean {
		n := int64(0)
		if v.b {
			n = 1
		}
		if to == Int {
			return IntValue(n)
		}
		return decimalValue(apd.New(n*10, -1)) // 1.0
	}
	n, ok := v.toNumber()
	if !ok {
		return Value{}
	}
	if to == Int {
		return round(n, downward)
	}
	if a[1].s == "double" && n.kind == Decimal {
		x, _ := n.toFloat()
		n = floatValue(x)
	}
	if f.modern && n.kind == Decimal && whole(n.decimal()) {
		return integerValue(n.decimal())
	}
	return n
}

// encode takes "*" for the bytes of the payload, whatever they are.
func encode(f *frame, n *call) (Value, error) {
	if len(n.args) != 2 {
		return Value{}, nil
	}
	mode, err := f.eval(n.args[1])
	if err != nil || mode.kind != String || !strings.EqualFold(mode.s, "base64") {
		return Value{}, err
	}
	if _, ok := n.args[0].(*star); ok && len(f.scopes) == 0 {
		return StringValue(base64.StdEncoding.EncodeToString(f.in.Payload)), nil
	}
	v, err := f.eval(n.args[0])
	if err != nil {
		return Value{}, err
	}
	if v.kind == Binary {
		return StringValue(base64.StdEncoding.EncodeToString([]byte(v.s))), nil
	}
	s, ok := v.toText()
	if !ok {
		return Value{}, nil
	}
	return StringValue(base64.StdEncoding.EncodeToString([]byte(s))), nil
}

// decodeBase64 gives a value if the bytes are JSON, else text; NULL if v cannot
// be decoded.
func decodeBase64(f *frame, v Value) Value {
	s, ok := v.toText()
	if !ok {
		return NullValue
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return NullValue
	}
	if out, err := parseJSON(b, f.modern); err == nil {
		return out
	}
	if !utf8.Valid(b) {
		return NullValue
	}
	return StringValue(string(b))
}

func getOrDefault(f *frame, n *call) (Value, error) {
	if len(n.args) != 1 && len(n.args) != 2 {
		return Value{}, nil
	}
	steps := f.steps
	v, err := f.eval(n.args[0])
	if err == nil && v.kind != Null && v.kind != Undefined {
		return v, nil
	}
	if f.steps > maxSteps {
		return Value{}, fmt.Errorf("%w: the statement does too much work", ErrLimit)
	}
	f.steps = max(f.steps, steps)
	if len(n.args) == 1 {
		return Value{}, nil
	}
	return f.eval(n.args[1])
}

// md2 is RFC 1319; its table is made of the digits of pi as the RFC's appendix
// describes.
func md2(message []byte) []byte {
	padding := 16 - len(message)%16
	m := append([]byte(nil), message...)
	for range padding {
		m = append(m, byte(padding))
	}
	var sum [16]byte
	var last byte
	for i := 0; i < len(m); i += 16 {
		for j := range 16 {
			sum[j] ^= md2Table[m[i+j]^last]
			last = sum[j]
		}
	}
	m = append(m, sum[:]...)
	var x [48]byte
	for i := 0; i < len(m); i += 16 {
		for j := range 16 {
			x[16+j] = m[i+j]
			x[32+j] = x[16+j] ^ x[j]
		}
		t := byte(0)
		for j := range 18 {
			for k := range x {
				x[k] ^= md2Table[t]
				t = x[k]
			}
			t += byte(j)
		}
	}
	return x[:16]
}

var md2Table = makeMD2Table()

// makeMD2Table shuffles 0..255 with the digits of pi as random numbers.
func makeMD2Table() (s [256]byte) {
	digits := piDigits(722 + 200)
	at := 0
	draw := func(n int) int {
		// Numbers below n, from the fewest digits that reach it.
		x, y := digits[at], 10
		at++
		if n > 10 {
			x, y = x*10+digits[at], 100
			at++
		}
		if n > 100 {
			x, y = x*10+digits[at], 1000
			at++
		}
		return x*1000 + y // both, for the caller to judge
	}
	for i := range s {
		s[i] = byte(i)
	}
	for i := 2; i <= 256; i++ {
		for {
			d := draw(i)
			x, y := d/1000, d%1000
			if y == 0 {
				y = 1000
				x--
			}
			if x < i*(y/i) {
				j := x % i
				s[j], s[i-1] = s[i-1], s[j]
				break
			}
		}
	}
	return s
}

// piDigits returns decimal digits of pi, from the 3 on.
func piDigits(n int) []int {
	scale := new(apd.BigInt).Exp(apd.NewBigInt(10), apd.NewBigInt(int64(n+10)), nil)
	arctan := func(inverse int64) *apd.BigInt {
		term := new(apd.BigInt).Quo(scale, apd.NewBigInt(inverse))
		sum := new(apd.BigInt).Set(term)
		square := apd.NewBigInt(inverse * inverse)
		for k := int64(3); term.Sign() != 0; k += 2 {
			term = new(apd.BigInt).Quo(term, square)
			part := new(apd.BigInt).Quo(term, apd.NewBigInt(k))
			if k%4 == 3 {
				sum.Sub(sum, part)
			} else {
				sum.Add(sum, part)
			}
		}
		return sum
	}
	pi := new(apd.BigInt).Mul(arctan(5), apd.NewBigInt(16))
	pi.Sub(pi, new(apd.BigInt).Mul(arctan(239), apd.NewBigInt(4)))
	out := make([]int, n)
	for i, c := range pi.String()[:n] {
		out[i] = int(c - '0')
	}
	return out
}
