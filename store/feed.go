package store

// Feed is one outlet that feeds a node.
type Feed struct {
	PCUID  int `json:"pcu"`
	Outlet int `json:"outlet"`
}
