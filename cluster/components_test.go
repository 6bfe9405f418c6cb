package main

import (
	"strings"
	"testing"
)

// A link's name chooses the component, wherever the link lies.
func TestNameChoosesComponent(t *testing.T) {
	components["sample"] = func() int { return 7 }
	t.Cleanup(func() { delete(components, "sample") })

	if code := run([]string{"/some/where/sample", "--flag"}, nil, nil); code != 7 {
		t.Errorf("exit code %d, want the component's own 7", code)
	}
}

// An unknown name is wrong usage, said in one line that names the known ones.
func TestUnknownNameIsRefused(t *testing.T) {
	var stdout, stderr strings.Builder
	code := run([]string{"assay-cluster"}, &stdout, &stderr)

	if code != wrongUsage || stdout.String() != "" {
		t.Errorf("exit code %d, standard output %q", code, stdout.String())
	}
	if message := stderr.String(); strings.Count(message, "\n") != 1 || !strings.Contains(message, "kubelet, volume-provisioner") {
		t.Errorf("message %q", message)
	}
}

// The list of components is what the build makes its links from.
func TestComponentsAreListed(t *testing.T) {
	var stdout, stderr strings.Builder
	code := run([]string{"assay-cluster", "components"}, &stdout, &stderr)

	names := strings.Fields(stdout.String())
	if code != 0 || stderr.String() != "" || len(names) != len(components) {
		t.Errorf("exit code %d, names %q, message %q", code, names, stderr.String())
	}
	for _, name := range names {
		if _, known := components[name]; !known {
			t.Errorf("%s is listed but unknown", name)
		}
	}
}
