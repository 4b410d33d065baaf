// Package spelling says how like two words are, for those who meant another one.
package spelling

import "strings"

// longest is how many letters a word may have to be compared letter by letter: no name of ours has as many.
const longest = 100

// Distance counts the letters that must be added, taken out, replaced or swapped with their neighbour to make one word
// of the other, upper and lower case being the same. Of a word that is far longer than any name it is the length.
func Distance(from, to string) int {
	a, b := []rune(strings.ToLower(from)), []rune(strings.ToLower(to))
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range b {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
