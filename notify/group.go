package notify

import (
	"slices"
	"time"
)

// group is what one cause did to several targets: said once, with the targets named.
type group struct {
	Item
	Targets []string
	Spread  bool // it did not befall all of them at once
	Did     []string
	Pages   []string
	Acts    []string // pages where its people say that they are at it
}

// groups puts items of one type and remedy together. What was seen or done for all of them is said once; what belongs
// to one
// names it.
func (n Notice) groups(items []Item) []group {
	var list []group
	members := map[int][]Item{}
	for _, item := range items {
		i := slices.IndexFunc(list, func(g group) bool {
			return g.Type == item.Type && g.Fix == item.Fix && g.Advice == item.Advice &&
				slices.Equal(g.Also, item.Also)
		})
		if i < 0 {
			i = len(list)
			list = append(list, group{Item: item})
		}
		g := &list[i]
		g.Targets = append(g.Targets, item.Target)
		g.Spread = g.Spread || g.Since.Sub(item.Since).Abs() > time.Minute
		if item.Since.Before(g.Since) {
			g.Since = item.Since
		}
		if item.Told.IsZero() || !g.Told.IsZero() && item.Told.After(g.Told) {
			g.Told = item.Told
		}
		if item.Page != "" {
			g.Pages = append(g.Pages, item.Page)
		}
		if item.Act != "" {
			g.Acts = append(g.Acts, item.Act)
		}
		members[i] = append(members[i], item)
	}
	for i := range list {
		list[i].Evidence = together(members[i], func(item Item) []string { return item.Evidence })
		list[i].Did = together(members[i], n.deeds)
	}
	return list
}

func together(items []Item, facts func(Item) []string) []string {
	var shared, own []string
	for _, item := range items {
		for _, fact := range facts(item) {
			if !slices.ContainsFunc(items, func(other Item) bool { return !slices.Contains(facts(other), fact) }) {
				if !slices.Contains(shared, fact) {
					shared = append(shared, fact)
				}
			} else {
				own = append(own, item.Target+": "+fact)
			}
		}
	}
	return lines(append(shared, own...))
}
