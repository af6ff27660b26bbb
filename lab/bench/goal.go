package bench

// Of says what a goal is about.
type Of string

// What goals are about.
const (
	OfRatio Of = "ratio" // Result.Ratio
	OfValue Of = "value" // Result.Value
)

// Direction says which side of its bound a goal wants.
type Direction string

// The directions.
const (
	AtLeast Direction = "at least"
	AtMost  Direction = "at most"
)

// Goal is what a row should reach. Of may also name one of Result.Extra.
type Goal struct {
	Of        Of        `json:"of"`
	Direction Direction `json:"direction"`
	Bound     float64   `json:"bound"`
	// Met is nil if there is no figure to judge by.
	Met *bool `json:"met,omitempty"`
}

func atLeast(of Of, bound float64) []Goal { return []Goal{{Of: of, Direction: AtLeast, Bound: bound}} }
func atMost(of Of, bound float64) []Goal  { return []Goal{{Of: of, Direction: AtMost, Bound: bound}} }

// judge returns the goals with what became of them.
func judge(goals []Goal, res Result) []Goal {
	out := make([]Goal, 0, len(goals))
	for _, g := range goals {
		if v, ok := g.figure(res); ok {
			met := v >= g.Bound
			if g.Direction == AtMost {
				met = v <= g.Bound
			}
			g.Met = &met
		}
		out = append(out, g)
	}
	return out
}

// figure returns what the goal is about; false if it was not measured.
func (g Goal) figure(res Result) (float64, bool) {
	switch g.Of {
	case OfRatio:
		return res.Ratio, res.Ratio > 0
	case OfValue:
		return res.Value, res.Skipped == "" || res.Value > 0
	default:
		v, ok := res.Extra[string(g.Of)]
		return v, ok
	}
}
