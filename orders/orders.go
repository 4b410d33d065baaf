// Package orders gives the orders of persons: the command line, the pages and the API all do it through here, and so
// each order says who gives it, from where, and why.
package orders

// Who gives an order.
type Who struct {
	Name    string // as the person calls himself; empty: by the account
	Account string // as the system, or the sign-in, knows the person
	From    string // where the order is given: a host's command line, a page
}
