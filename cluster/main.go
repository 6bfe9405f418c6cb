// Command assay-cluster is every component of the embedded Kubernetes in one
// multi-call binary: the name it is called by (a symlink) chooses the component.
//
// All but volume-provisioner are upstream's own, and nothing here changes what
// they do.
package main

import (
	"os"

	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}
