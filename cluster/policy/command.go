package policy

import (
	"context"
	"fmt"
	"net/netip"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/knftables"
)

// NewCommand is the component network-policy.
func NewCommand() *cobra.Command {
	var kubeconfig, node, pods string
	command := &cobra.Command{
		Use:          "network-policy",
		Short:        "Enforces NetworkPolicies for the pods of the node whose network namespace it runs in",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			own, err := podRange(pods)
			if err != nil {
				return err
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("--kubeconfig %s: %w", kubeconfig, err)
			}
			config.ContentType = "application/vnd.kubernetes.protobuf"
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return fmt.Errorf("--kubeconfig %s: %w", kubeconfig, err)
			}
			nft, err := knftables.New(knftables.IPv4Family, tableName)
			if err != nil {
				return fmt.Errorf("nftables is needed: %w", err)
			}
			engine, err := NewEngine(client, node, NewTable(nft, own))
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return engine.Run(ctx)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file that says how to reach the API server and as whom")
	command.Flags().StringVar(&node, "node-name", "", "the node's name in Kubernetes")
	command.Flags().StringVar(&pods, "pod-range", "", "the IPv4 addresses of this node's pods, such as 10.201.1.0/24")
	for _, required := range []string{"kubeconfig", "node-name", "pod-range"} {
		if err := command.MarkFlagRequired(required); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return command
}

// podRange reads --pod-range.
func podRange(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || !prefix.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("--pod-range %s is no range of IPv4 addresses: give one such as 10.201.1.0/24", text)
	}
	return prefix.Masked(), nil
}
