package activities

import "fmt"

// mostAnswered is how many lines of a kind an activity answers: a history keeps them for as long as it lives.
const mostAnswered = 20

// bounded is what is answered of it. The ledger and the log have all.
func (r Reconciled) bounded() Reconciled {
	for _, list := range []*[]string{&r.Repaired, &r.Left} {
		if more := len(*list) - mostAnswered; more > 0 {
			*list = append((*list)[:mostAnswered:mostAnswered], fmt.Sprintf("and %d more", more))
		}
	}
	return r
}
