package expression

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const firstYear, lastYear = 1970, 2199

// cron is a parsed cron expression; each set is in order.
type cron struct {
	minutes, hours, months, years []int
	// One of the two is nil.
	monthDays *monthDays
	weekDays  *weekDays
}

// monthDays are days of the month.
type monthDays struct {
	days        []int
	nearest     []int // weekday nearest to
	last        bool
	lastWeekday bool
}

// weekDays are days of the week, 1 is Sunday.
type weekDays struct {
	days []int
	last []int // the last of the month
	nth  [][2]int
}

var (
	monthNames = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	dayNames   = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	digits     = regexp.MustCompile(`^[0-9]{1,4}$`)
)

// field is what a field may hold.
type field struct {
	least, most int
	names       []string // of least, least+1 and so on
}

func (f field) value(text string) (int, error) {
	if i := slices.Index(f.names, strings.ToUpper(text)); i >= 0 {
		return f.least + i, nil
	}
	if !digits.MatchString(text) {
		return 0, ErrInvalid
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.least || n > f.most {
		return 0, ErrInvalid
	}
	return n, nil
}

// item reads one item of a list into a set of values.
func (f field) item(text string, set map[int]bool) error {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || !digits.MatchString(stepText) || n < 1 || n > f.most {
			return ErrInvalid
		}
		step = n
	}
	from, to := f.least, f.most
	if a, b, ranged := strings.Cut(span, "-"); ranged {
		var err error
		if from, err = f.value(a); err != nil {
			return err
		}
		if to, err = f.value(b); err != nil {
			return err
		}
		if from > to {
			return ErrInvalid
		}
	} else if span != "*" {
		n, err := f.value(span)
		if err != nil {
			return err
		}
		if from = n; !stepped {
			to = n
		}
	}
	for n := from; n <= to; n += step {
		set[n] = true
	}
	return nil
}

func ordered(set map[int]bool) []int {
	list := make([]int, 0, len(set))
	for n := range set {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

func (f field) list(text string) ([]int, error) {
	set := map[int]bool{}
	for item := range strings.SplitSeq(text, ",") {
		if err := f.item(item, set); err != nil {
			return nil, err
		}
	}
	return ordered(set), nil
}

var (
	minuteField   = field{least: 0, most: 59}
	hourField     = field{least: 0, most: 23}
	monthDayField = field{least: 1, most: 31}
	monthField    = field{1, 12, monthNames}
	weekDayField  = field{1, 7, dayNames}
	yearField     = field{least: firstYear, most: lastYear}
)

func parseCron(text string) (*cron, error) {
	f := strings.Split(text, " ")
	if len(f) != 6 {
		return nil, ErrInvalid
	}
	c := &cron{}
	var err error
	for _, x := range []struct {
		field field
		text  string
		into  *[]int
	}{{minuteField, f[0], &c.minutes}, {hourField, f[1], &c.hours}, {monthField, f[3], &c.months},
		{yearField, f[5], &c.years}} {
		if *x.into, err = x.field.list(x.text); err != nil {
			return nil, err
		}
	}
	if (f[2] == "?") == (f[4] == "?") {
		return nil, ErrInvalid
	}
	if f[2] != "?" {
		c.monthDays, err = parseMonthDays(f[2])
	} else {
		c.weekDays, err = parseWeekDays(f[4])
	}
	return c, err
}

func parseMonthDays(text string) (*monthDays, error) {
	d := &monthDays{}
	set := map[int]bool{}
	for item := range strings.SplitSeq(text, ",") {
		day, isNearest := strings.CutSuffix(strings.ToUpper(item), "W")
		switch {
		case item == "L" || item == "l":
			d.last = true
		case isNearest && day == "L":
			d.lastWeekday = true
		case isNearest:
			n, err := monthDayField.value(day)
			if err != nil {
				return nil, err
			}
			d.nearest = append(d.nearest, n)
		default:
			if err := monthDayField.item(item, set); err != nil {
				return nil, err
			}
		}
	}
	d.days = ordered(set)
	return d, nil
}

func parseWeekDays(text string) (*weekDays, error) {
	d := &weekDays{}
	set := map[int]bool{}
	for item := range strings.SplitSeq(text, ",") {
		day, isLast := strings.CutSuffix(strings.ToUpper(item), "L")
		before, nth, isNth := strings.Cut(item, "#")
		switch {
		case isLast && day == "":
			set[7] = true // Saturday is the last day of a week
		case isLast:
			n, err := weekDayField.value(day)
			if err != nil {
				return nil, err
			}
			d.last = append(d.last, n)
		case isNth:
			n, err := weekDayField.value(before)
			if err != nil {
				return nil, err
			}
			k, err := field{least: 1, most: 5}.value(nth)
			if err != nil {
				return nil, err
			}
			d.nth = append(d.nth, [2]int{n, k})
		default:
			if err := weekDayField.item(item, set); err != nil {
				return nil, err
			}
		}
	}
	d.days = ordered(set)
	return d, nil
}

// matches says whether a day is one of the expression's; month and year are.
func (c *cron) matches(year, month, day int) bool {
	last := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	weekday := func(day int) int {
		return int(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Weekday()) + 1
	}
	if m := c.monthDays; m != nil {
		if slices.Contains(m.days, day) || m.last && day == last || m.lastWeekday &&
			day == nearest(last, last, weekday) {
			return true
		}
		return slices.ContainsFunc(m.nearest, func(n int) bool {
			return n <= last && day == nearest(n, last, weekday)
		})
	}
	w := c.weekDays
	today := weekday(day)
	if slices.Contains(w.days, today) || day > last-7 && slices.Contains(w.last, today) {
		return true
	}
	return slices.Contains(w.nth, [2]int{today, (day-1)/7 + 1})
}

// nearest is the weekday nearest to a day, within the month.
func nearest(day, last int, weekday func(int) int) int {
	switch weekday(day) {
	case 7: // Saturday
		if day > 1 {
			return day - 1
		}
		return day + 2
	case 1: // Sunday
		if day < last {
			return day + 1
		}
		return day - 2
	}
	return day
}

func (c *cron) next(from time.Time, zone *time.Location) (at time.Time, ok bool) {
	local := from.In(zone)
	// A day earlier, as a change of clocks may run over midnight.
	date := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC).AddDate(0, 0, -1)
	for date.Year() <= lastYear {
		year, month, day := date.Year(), int(date.Month()), date.Day()
		switch {
		case !slices.Contains(c.years, year):
			date = time.Date(year+1, 1, 1, 0, 0, 0, 0, time.UTC)
			continue
		case !slices.Contains(c.months, month):
			date = time.Date(year, date.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		case c.matches(year, month, day):
			for _, h := range c.hours {
				for _, m := range c.minutes {
					t, exists := wall{year, month, day, h, m, 0}.in(zone)
					if exists && !t.Before(from) && (!ok || t.Before(at)) {
						at, ok = t, true
					}
				}
			}
			if ok {
				return at, true
			}
		}
		date = date.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}
