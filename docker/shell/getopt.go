package shell

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// option is an option that was given: its name without dashes, and its value.
type option struct{ name, value string }

// options are the options of a command line in order.
type options []option

// has tells whether one of the names was given.
func (o options) has(names ...string) bool {
	_, ok := o.last(names...)
	return ok
}

// last returns the value of the last of the named options.
func (o options) last(names ...string) (string, bool) {
	for i := len(o) - 1; i >= 0; i-- {
		for _, n := range names {
			if o[i].name == n {
				return o[i].value, true
			}
		}
	}
	return "", false
}

// getopt splits arguments into options and the rest as getopt_long does. The spec lists names, a colon behind those that
// take a value; names of one letter go with one dash and may be joined, others with two. A spec that begins with + stops
// at the first argument that is no option.
func getopt(args []string, spec string) (opts options, rest []string, err error) {
	spec, stop := strings.CutPrefix(spec, "+")
	takes := map[string]bool{}
	for _, n := range strings.Fields(spec) {
		name, value := strings.CutSuffix(n, ":")
		takes[name] = value
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return opts, append(rest, args[i+1:]...), nil
		case strings.HasPrefix(a, "--"):
			o, used, err := longOption(a[2:], args[i+1:], takes)
			if err != nil {
				err.at = i + 1
				return nil, nil, err
			}
			opts = append(opts, o)
			i += used
		case len(a) > 1 && a[0] == '-':
			found, used, err := shortOptions(a[1:], args[i+1:], takes)
			if err != nil {
				err.at = i + 1
				return nil, nil, err
			}
			opts = append(opts, found...)
			i += used
		case stop:
			return opts, append(rest, args[i:]...), nil
		default:
			rest = append(rest, a)
		}
	}
	return opts, rest, nil
}

// What can be wrong with an option.
const (
	optionUnknown = iota
	optionNeedsValue
	optionTakesNone
)

// optionError is an option that getopt could not take.
type optionError struct {
	name  string // without dashes
	long  bool   // it was given with two
	wrong int
	at    int // the place of the argument that it is in, from 1
}

// Error implements error in the words of the C library.
func (e *optionError) Error() string {
	switch {
	case e.wrong == optionTakesNone:
		return fmt.Sprintf("option '--%s' doesn't allow an argument", e.name)
	case e.wrong == optionNeedsValue && !e.long:
		return fmt.Sprintf("option requires an argument -- '%s'", e.name)
	case e.wrong == optionNeedsValue:
		return fmt.Sprintf("option '--%s' requires an argument", e.name)
	case !e.long:
		return fmt.Sprintf("invalid option -- '%s'", e.name)
	}
	return fmt.Sprintf("unrecognized option '--%s'", e.name)
}

func longOption(a string, next []string, takes map[string]bool) (o option, used int, err *optionError) {
	name, value, given := strings.Cut(a, "=")
	want, known := takes[name]
	switch {
	case !known || len(name) < 2:
		return o, 0, &optionError{name: name, long: true}
	case !want && given:
		return o, 0, &optionError{name: name, wrong: optionTakesNone, long: true}
	case want && !given && len(next) == 0:
		return o, 0, &optionError{name: name, wrong: optionNeedsValue, long: true}
	case want && !given:
		return option{name, next[0]}, 1, nil
	}
	return option{name, value}, 0, nil
}

func shortOptions(a string, next []string, takes map[string]bool) (found options, used int, err *optionError) {
	for i := range len(a) {
		name := a[i : i+1]
		want, known := takes[name]
		switch {
		case !known:
			return nil, 0, &optionError{name: name}
		case !want:
			found = append(found, option{name: name})
			continue
		case i+1 < len(a):
			return append(found, option{name, a[i+1:]}), 0, nil
		case len(next) == 0:
			return nil, 0, &optionError{name: name, wrong: optionNeedsValue}
		}
		return append(found, option{name, next[0]}), 1, nil
	}
	return found, 0, nil
}

// maxSeconds bounds what a user may ask to wait.
const maxSeconds = 1 << 30

// seconds reads a number of seconds, which may have a fraction and a unit: 0.2, 5, 10s, 500ms, 2m.
func seconds(text string) (time.Duration, error) {
	num, unit := text, time.Second
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}} {
		if n, ok := strings.CutSuffix(text, u.suffix); ok {
			num, unit = n, u.unit
			break
		}
	}
	f, err := strconv.ParseFloat(num, 64)
	if err != nil || !(f >= 0) {
		return 0, fmt.Errorf("invalid time interval '%s'", text)
	}
	return time.Duration(min(f*float64(unit), maxSeconds*float64(time.Second))), nil
}

// number reads a decimal number within bounds.
func number(text string, lo, hi int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("invalid argument: '%s'", text)
	}
	if n < lo || n > hi {
		return 0, fmt.Errorf("invalid argument: '%s': out of range: %d <= value <= %d", text, lo, hi)
	}
	return n, nil
}
