package component

import (
	"strings"
	"testing"
)

var set = Set{"sample": func() int { return 7 }, "other": func() int { return 8 }}

// A link's name chooses the component, wherever the link lies.
func TestNameChoosesComponent(t *testing.T) {
	if code := set.Run([]string{"/some/where/sample", "components"}, nil, nil); code != 7 {
		t.Errorf("exit code %d, want the component's own 7", code)
	}
}

// An unknown name is wrong usage, said in one line that names the known ones.
func TestUnknownNameIsRefused(t *testing.T) {
	var stdout, stderr strings.Builder
	code := set.Run([]string{"assay-cluster"}, &stdout, &stderr)

	if code != WrongUsage || stdout.String() != "" {
		t.Errorf("exit code %d, standard output %q", code, stdout.String())
	}
	want := "assay-cluster is no component: call this binary through a link named one of: other, sample\n"
	if stderr.String() != want {
		t.Errorf("message %q, want %q", stderr.String(), want)
	}
}

// The list of components is what the build makes its links from.
func TestComponentsAreListed(t *testing.T) {
	var stdout, stderr strings.Builder
	code := set.Run([]string{"assay-cluster", "components"}, &stdout, &stderr)

	if code != 0 || stdout.String() != "other\nsample\n" || stderr.String() != "" {
		t.Errorf("exit code %d, list %q, message %q", code, stdout.String(), stderr.String())
	}
}
