// Typecheck checks that all packages of Monitor, and their tests, compile on another system: typecheck GOOS. It reads
// everything from source, which takes seconds where `go vet` would compile every dependency once more.
package main

import (
	"fmt"
	"os"

	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: typecheck GOOS")
		os.Exit(2)
	}
	found, err := packages.Load(&packages.Config{
		Mode: packages.LoadAllSyntax, Tests: true, Dir: "..", Env: append(os.Environ(), "GOOS="+os.Args[1], "CGO_ENABLED=0"),
	}, "./...")
	if err != nil {
		fmt.Fprintln(os.Stderr, "typecheck:", err)
		os.Exit(1)
	}
	if packages.PrintErrors(found) > 0 {
		os.Exit(1)
	}
}
