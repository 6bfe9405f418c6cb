// Package component chooses what a multi-call binary runs: the name it is
// called by (a symlink) names the component.
package component

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// WrongUsage is the exit code for a name or an argument that means nothing.
const WrongUsage = 254

// Component runs until it is told to end, and returns its exit code.
type Component func() int

// Set maps the name that the binary is called by to what runs.
type Set map[string]Component

// Run chooses by the name in arguments[0]. Called by any other name, the
// argument "components" lists the names, one a line.
func (set Set) Run(arguments []string, stdout, stderr io.Writer) int {
	name := filepath.Base(arguments[0])
	if start, known := set[name]; known {
		return start()
	}
	names := slices.Sorted(maps.Keys(set))
	if len(arguments) == 2 && arguments[1] == "components" {
		fmt.Fprintln(stdout, strings.Join(names, "\n"))
		return 0
	}
	fmt.Fprintf(stderr, "%s is no component: call this binary through a link named one of: %s\n", name, strings.Join(names, ", "))
	return WrongUsage
}
