// Command assay-cluster is every component of the embedded Kubernetes in one
// multi-call binary: the name it is called by (a symlink) chooses the component.
//
// All but network-policy and volume-provisioner are upstream's own, and nothing
// here changes what they do.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubeapiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kubecontroller "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubescheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"assay.dev/cluster/component"
	"assay.dev/cluster/policy"
	"assay.dev/cluster/volumes"
)

func main() {
	components := component.Set{
		"coredns":                 runCoreDNS,
		"etcd":                    func() int { etcd.Main(os.Args); return 0 },
		"kube-apiserver":          command(kubeapiserver.NewAPIServerCommand),
		"kube-controller-manager": command(kubecontroller.NewControllerManagerCommand),
		"kube-proxy":              command(kubeproxy.NewProxyCommand),
		"kube-scheduler":          command(func() *cobra.Command { return kubescheduler.NewSchedulerCommand() }),
		// The kubelet sets its signal context up itself; a second one panics.
		"kubelet":            command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"network-policy":     command(policy.NewCommand),
		"volume-provisioner": command(volumes.NewProvisionerCommand),
	}
	os.Exit(components.Run(os.Args, os.Stdout, os.Stderr))
}

// command makes a component of a cobra command, built when it is run: several
// of them register flags and metrics that must not meet in one process.
func command(build func() *cobra.Command) component.Component {
	return func() int { return cli.Run(build()) }
}
