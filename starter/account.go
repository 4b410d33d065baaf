package main

import (
	"os"
	"os/user"
	"strconv"
)

// account names who runs this process. The system knows that; what stands in the environment is anybody's word.
func account() string {
	id := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + id
}
