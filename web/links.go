package web

import (
	"net/url"
	"strconv"
	"strings"
)

// Where things are on the pages. Names come from outside, and are escaped here.

func issueURL(id string) string {
	typ, target, _ := strings.Cut(id, "/")
	return "/issues/" + url.PathEscape(typ) + "/" + url.PathEscape(target)
}

func nodeURL(host string) string  { return "/nodes/" + url.PathEscape(host) }
func siteURL(login string) string { return "/sites/" + url.PathEscape(login) }
func entryURL(key string) string  { return "/ledger/entry?" + url.Values{"key": {key}}.Encode() }

// listURL is a list with an expression: listURL "nodes" "status=down".
func listURL(kind, expression string) string {
	if expression == "" {
		return "/" + kind
	}
	return "/" + kind + "?" + url.Values{"select": {expression}}.Encode()
}

func pcuURL(id int) string { return "/pcus/" + strconv.Itoa(id) }

// episodeURL is an issue; one that is closed is named with its run, since it may have opened again.
func episodeURL(id, run, status string) string {
	if status != "closed" {
		return issueURL(id)
	}
	return issueURL(id) + "?" + url.Values{"run": {run}}.Encode()
}
