// Package answers holds what operators ask of Monitor, and its answers: may it act, how is the fleet, what comes, what was seen and decided of
// a target and why, and why something is not done. The command line, the pages and the API give the same answers, since they all read them
// here; the JSON of these types is part of the interface. It only reads: from the store, and from workflows that are running.
package answers
