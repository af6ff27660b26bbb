package suite

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of a JUnit report, as Jenkins, GitLab and others read them: a suite for each lab, a case for each step.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		File string `xml:"file,attr"`
		junitCounts
		Cases []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"` // seconds
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		Class     string        `xml:"classname,attr"`
		File      string        `xml:"file,attr,omitempty"`
		Time      string        `xml:"time,attr"`
		Skipped   *junitMessage `xml:"skipped"`
		Error     *junitMessage `xml:"error"`
		Failure   *junitMessage `xml:"failure"`
		SystemOut string        `xml:"system-out,omitempty"`
		SystemErr string        `xml:"system-err,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes results as a JUnit report. Those that are nil are left out.
func WriteJUnit(w io.Writer, results []*Result) error {
	all := junitSuites{Name: "netsim"}
	total := 0.0
	for _, r := range results {
		if r == nil {
			continue
		}
		s := r.junit()
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
		total += r.Seconds
		all.Suites = append(all.Suites, s)
	}
	all.Time = junitTime(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junit returns a lab's suite. What is not about a step is a case of its own.
func (r *Result) junit() junitSuite {
	s := junitSuite{Name: r.Lab, File: r.File}
	for i := range r.Steps {
		s.Cases = append(s.Cases, r.Steps[i].junit(r.Lab))
	}
	whole := junitCase{Name: r.Lab, Class: r.Lab, File: r.File, Time: junitTime(r.Seconds)}
	switch r.Status {
	case Skipped:
		whole.Skipped = &junitMessage{Message: r.Reason}
		s.Skipped++
		s.Cases = append(s.Cases, whole)
	case Broken:
		whole.Error = &junitMessage{Message: firstLine(r.Reason), Type: "lab", Text: r.Reason}
		s.Errors++
		s.Cases = append(s.Cases, whole)
	}
	s.Tests, s.Failures, s.Time = len(s.Cases), r.failures(), junitTime(r.Seconds)
	return s
}

// failures counts the steps that failed.
func (r *Result) failures() int {
	n := 0
	for i := range r.Steps {
		if !r.Steps[i].Passed {
			n++
		}
	}
	return n
}

func (s *Step) junit(lab string) junitCase {
	c := junitCase{Name: fmt.Sprintf("%d: %s", s.Step, s.Name), Class: lab, File: s.At, Time: junitTime(s.Seconds)}
	if s.Passed {
		return c
	}
	text := fmt.Sprintf("%s\n%s$ %s\n%s", s.At, s.On, strings.TrimRight(s.Run, "\n"), s.Reason)
	if s.Explain != "" {
		text += "\n\n" + s.Explain
	}
	c.Failure = &junitMessage{Message: firstLine(s.Reason), Type: "step", Text: text}
	c.SystemOut, c.SystemErr = s.Stdout, s.Stderr
	return c
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func junitTime(seconds float64) string { return fmt.Sprintf("%.3f", seconds) }
