package engine

import (
	"fmt"
	"math/rand/v2"
	"regexp"
)

// nameForm is what the names of containers look like.
var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

var adjectives = []string{"admiring", "adoring", "agitated", "amazing", "angry", "awesome", "backstabbing", "berserk", "big",
	"boring", "clever", "cocky", "compassionate", "condescending", "cranky", "desperate", "determined", "distracted",
	"dreamy", "drunk", "ecstatic", "elated", "elegant", "evil", "fervent", "focused", "furious", "gigantic", "gloomy",
	"goofy", "grave", "happy", "high", "hopeful", "hungry", "infallible", "jolly", "jovial", "kickass", "lonely", "loving",
	"mad", "modest", "naughty", "nauseous", "nostalgic", "peaceful", "pedantic", "pensive", "prickly", "reverent",
	"romantic", "sad", "serene", "sharp", "sick", "silly", "sleepy", "small", "stoic", "stupefied", "suspicious",
	"tender", "thirsty", "tiny", "trusting", "zen"}

var surnames = []string{"albattani", "allen", "archimedes", "ardinghelli", "babbage", "banach", "bardeen", "bartik",
	"bell", "bhabha", "blackwell", "bohr", "booth", "borg", "boyd", "brattain", "brown", "carson", "chandrasekhar",
	"colden", "cori", "cray", "curie", "darwin", "davinci", "dijkstra", "dubinsky", "easley", "einstein", "elion",
	"engelbart", "euclid", "fermat", "fermi", "feynman", "franklin", "galileo", "goldstine", "goodall", "hamilton",
	"hawking", "heisenberg", "hodgkin", "hopper", "hypatia", "jang", "jones", "kalam", "kare", "keller", "khorana",
	"kilby", "kirch", "knuth", "kowalevski", "lalande", "lamarr", "leakey", "lovelace", "lumiere", "mayer", "mccarthy",
	"mcclintock", "meitner", "mestorf", "mirzakhani", "morse", "newton", "nobel", "noether", "panini", "pare", "pasteur",
	"payne", "perlman", "pike", "poincare", "ramanujan", "ride", "ritchie", "roentgen", "rosalind", "saha", "sammet",
	"shannon", "shaw", "sinoussi", "spence", "stallman", "swanson", "swartz", "tesla", "thompson", "torvalds", "turing",
	"varahamihira", "visvesvaraya", "wescoff", "williams", "wilson", "wing", "wozniak", "wright", "yalow", "yonath"}

// nameTries is how often a random name is drawn before a digit is put behind it.
const nameTries = 6

// randomName draws a name that is not taken, as reverent_dubinsky (I30).
func randomName(luck *rand.Rand, taken func(string) bool) string {
	name := ""
	for range nameTries {
		name = adjectives[luck.IntN(len(adjectives))] + "_" + surnames[luck.IntN(len(surnames))]
		if !taken(name) {
			return name
		}
	}
	for n := 0; ; n++ {
		if numbered := fmt.Sprintf("%s%d", name, n); !taken(numbered) {
			return numbered
		}
	}
}

// randomID draws 64 hex digits. Their first twelve are never all decimal: such a short id could not be a host name.
func randomID(luck *rand.Rand) string {
	for {
		id := fmt.Sprintf("%016x%016x%016x%016x", luck.Uint64(), luck.Uint64(), luck.Uint64(), luck.Uint64())
		for _, c := range id[:12] {
			if c >= 'a' {
				return id
			}
		}
	}
}
