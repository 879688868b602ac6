// Package metricmath is CloudWatch's metric math: expressions such as
//
//	IF(total > 10, 100 * failed / total, 0)
//	SUM(METRICS("wave"))
//
// Parse makes a tree of an expression once; Expr.Eval computes it with an Env, which has the
// series that the expression names. The package does no I/O.
//
// A value is a scalar, a series or a list of series. Series are sorted by time (seconds since
// the epoch). Arithmetic and comparison of two series use the times at which both have a
// point. A result that is not a finite number, such as a division by zero, is no point. A
// comparison is 1 or 0. AND binds more tightly than OR, comparison more tightly than both. ^
// binds most tightly and associates to the right.
//
// Functions: ABS AVG CEIL DATAPOINT_COUNT DATE DAY DIFF DIFF_TIME EPOCH FILL
// FLOOR HOUR IF LOG LOG10 MAX METRICS METRIC_COUNT MIN MINUTE MONTH PERIOD RATE
// REMOVE_EMPTY RUNNING_SUM SEARCH SLICE SORT STDDEV SUM TIME_SERIES YEAR.
// Names of functions are in upper case, those of series begin in lower case.
// Every other function that CloudWatch has is refused by name.
//
// Errors are *Error with the offset in the source. A source is at most 2,048
// bytes long and nested at most 64 deep.
//
// Expressions are safe for concurrent use.
//
// Source: CloudWatch user guide, "Using math expressions with CloudWatch
// metrics".
package metricmath
