// Package volumes makes the persistent volumes of an embedded cluster: folders
// on the machine that all its nodes share.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	storage "sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisionerName is what a StorageClass names to have its volumes made here.
const provisionerName = "assay.dev/host-folder"

// hostFolders makes each claimed volume a folder of its own below root. All
// nodes of an embedded cluster share the machine's file system, so one folder
// serves a claim on every node, whatever its access mode.
type hostFolders struct {
	root string
}

// folderFor names a volume's folder so that a person finds it by its claim;
// the volume's own name makes it unique. '_' is in none of the three.
func (h hostFolders) folderFor(namespace, claim, volume string) string {
	return filepath.Join(h.root, namespace+"_"+claim+"_"+volume)
}

// Provision makes the folder, writable for every user, and describes it. A
// folder left by an attempt that was cut short is taken over.
func (h hostFolders) Provision(_ context.Context, options storage.ProvisionOptions) (*corev1.PersistentVolume, storage.ProvisioningState, error) {
	claim := options.PVC
	folder := h.folderFor(claim.Namespace, claim.Name, options.PVName)
	if err := os.Mkdir(folder, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, storage.ProvisioningFinished, fmt.Errorf("making the volume's folder: %w", err)
	}
	if err := os.Chmod(folder, 0o777); err != nil { // Mkdir's mode is cut by the umask
		return nil, storage.ProvisioningFinished, fmt.Errorf("opening the volume's folder to every user: %w", err)
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			MountOptions:                  options.StorageClass.MountOptions,
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: folder},
			},
		},
	}
	return volume, storage.ProvisioningFinished, nil
}

// Delete removes the volume's folder with what is in it. It touches only
// folders directly below root.
func (h hostFolders) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	source := volume.Spec.HostPath
	if source == nil || filepath.Dir(source.Path) != h.root {
		return fmt.Errorf("volume %s is no folder directly below %s: not deleted", volume.Name, h.root)
	}
	return os.RemoveAll(source.Path)
}

// NewProvisionerCommand is the component volume-provisioner.
func NewProvisionerCommand() *cobra.Command {
	var kubeconfig, folder string
	command := &cobra.Command{
		Use:          "volume-provisioner",
		Short:        "Makes the volumes of StorageClasses whose provisioner is " + provisionerName + ": folders on this machine",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			root, err := volumesRoot(folder)
			if err != nil {
				return err
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("--kubeconfig %s: %w", kubeconfig, err)
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return fmt.Errorf("--kubeconfig %s: %w", kubeconfig, err)
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			// One provisioner a cluster, started by the cluster itself: no election needed.
			storage.NewProvisionController(ctx, client, provisionerName, hostFolders{root: root},
				storage.LeaderElection(false)).Run(ctx)
			return nil
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file that says how to reach the API server and as whom")
	command.Flags().StringVar(&folder, "folder", "", "existing folder in which each volume gets its own")
	for _, required := range []string{"kubeconfig", "folder"} {
		if err := command.MarkFlagRequired(required); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return command
}

// volumesRoot checks the folder given by --folder and makes its path absolute
// and clean, as Delete compares it with the volumes' paths.
func volumesRoot(folder string) (string, error) {
	root, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("--folder %s: %w", folder, err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", fmt.Errorf("--folder %s: %w", folder, err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("--folder %s is not a folder", folder)
	}
	return root, nil
}
