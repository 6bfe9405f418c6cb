package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubeapiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kubecontroller "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubescheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// wrongUsage is the exit code for a name or an argument that means nothing here.
const wrongUsage = 254

// component runs until it is told to end, and returns its exit code.
type component func() int

// components maps the name that the binary is called by to what runs.
var components = map[string]component{
	"coredns":                 runCoreDNS,
	"etcd":                    func() int { etcd.Main(os.Args); return 0 },
	"kube-apiserver":          command(kubeapiserver.NewAPIServerCommand),
	"kube-controller-manager": command(kubecontroller.NewControllerManagerCommand),
	"kube-proxy":              command(kubeproxy.NewProxyCommand),
	"kube-scheduler":          command(func() *cobra.Command { return kubescheduler.NewSchedulerCommand() }),
	// The kubelet sets its signal context up itself; a second one panics.
	"kubelet":            command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"volume-provisioner": command(newProvisionerCommand),
}

// command makes a component of a cobra command, built when it is run: several
// of them register flags and metrics that must not meet in one process.
func command(build func() *cobra.Command) component {
	return func() int { return cli.Run(build()) }
}

// run chooses by the name in arguments[0]. Called by the binary's own name,
// the argument "components" lists the names, one a line.
func run(arguments []string, stdout, stderr io.Writer) int {
	name := filepath.Base(arguments[0])
	if start, known := components[name]; known {
		return start()
	}
	names := slices.Sorted(maps.Keys(components))
	if len(arguments) == 2 && arguments[1] == "components" {
		fmt.Fprintln(stdout, strings.Join(names, "\n"))
		return 0
	}
	fmt.Fprintf(stderr, "%s is no component: call this binary through a link named one of: %s\n", name, strings.Join(names, ", "))
	return wrongUsage
}
