// Package volumes makes the persistent volumes of an embedded cluster: folders
// on the machine that all its nodes share, and disks with a size of their own.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
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

// filesystem is the parameter of a StorageClass that says what its volumes for
// one node are: "ext4", disks with a file system of their own; nothing, folders.
const filesystem = "filesystem"

// provisioner makes each claimed volume in a folder of its own below root. All
// nodes of an embedded cluster share the machine's file system and its devices,
// so one volume serves a claim on every node.
type provisioner struct {
	root string
}

// folderFor names a volume's folder so that a person finds it by its claim;
// the volume's own name makes it unique. '_' is in none of the three.
func (p provisioner) folderFor(namespace, claim, volume string) string {
	return filepath.Join(p.root, namespace+"_"+claim+"_"+volume)
}

// Provision makes the volume, writable for every user, and describes it. What
// an attempt that was cut short left of it is taken over, or made anew.
func (p provisioner) Provision(ctx context.Context, options storage.ProvisionOptions) (*corev1.PersistentVolume, storage.ProvisioningState, error) {
	claim := options.PVC
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			MountOptions:                  options.StorageClass.MountOptions,
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
		},
	}
	folder := p.folderFor(claim.Namespace, claim.Name, options.PVName)
	var err error
	switch kind := options.StorageClass.Parameters[filesystem]; {
	case kind != "" && kind != "ext4":
		err = fmt.Errorf("the StorageClass's parameter %s is %q: it can be ext4, or left out", filesystem, kind)
	case kind == "ext4" && forOneNode(claim):
		err = provisionDisk(ctx, folder, volume)
	default:
		err = provisionFolder(folder, volume)
	}
	if err != nil {
		return nil, storage.ProvisioningFinished, err
	}
	return volume, storage.ProvisioningFinished, nil
}

// forOneNode is whether only one node at a time asks to use the claim's volume,
// as is usual for a disk.
func forOneNode(claim *corev1.PersistentVolumeClaim) bool {
	return !slices.ContainsFunc(claim.Spec.AccessModes, func(mode corev1.PersistentVolumeAccessMode) bool {
		return mode != corev1.ReadWriteOnce && mode != corev1.ReadWriteOncePod
	})
}

func provisionFolder(folder string, volume *corev1.PersistentVolume) error {
	if err := os.Mkdir(folder, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the volume's folder: %w", err)
	}
	if err := os.Chmod(folder, 0o777); err != nil { // Mkdir's mode is cut by the umask
		return fmt.Errorf("opening the volume's folder to every user: %w", err)
	}
	volume.Spec.HostPath = &corev1.HostPathVolumeSource{Path: folder}
	return nil
}

// provisionDisk makes a disk that the kubelet of any node mounts. What is
// deleted on it is given back to the machine.
func provisionDisk(ctx context.Context, folder string, volume *corev1.PersistentVolume) error {
	made := disk{folder: folder}
	if err := made.remove(ctx); err != nil {
		return err
	}
	size := volume.Spec.Capacity[corev1.ResourceStorage]
	if err := made.make(ctx, size.Value()); err != nil {
		return errors.Join(err, made.remove(context.WithoutCancel(ctx)))
	}
	kind := "ext4"
	volume.Spec.Local = &corev1.LocalVolumeSource{Path: made.device(), FSType: &kind}
	volume.Spec.MountOptions = append(slices.Clone(volume.Spec.MountOptions), "discard")
	volume.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpExists},
		}}},
	}}
	return nil
}

// Delete removes the volume with what is in it. It touches only folders
// directly below root.
func (p provisioner) Delete(ctx context.Context, volume *corev1.PersistentVolume) error {
	switch source := volume.Spec.PersistentVolumeSource; {
	case source.HostPath != nil && filepath.Dir(source.HostPath.Path) == p.root:
		return os.RemoveAll(source.HostPath.Path)
	case source.Local != nil && filepath.Dir(filepath.Dir(source.Local.Path)) == p.root:
		return disk{folder: filepath.Dir(source.Local.Path)}.remove(ctx)
	}
	return fmt.Errorf("volume %s is no folder directly below %s: not deleted", volume.Name, p.root)
}

// NewProvisionerCommand is the component volume-provisioner.
func NewProvisionerCommand() *cobra.Command {
	var kubeconfig, folder string
	command := &cobra.Command{
		Use:          "volume-provisioner",
		Short:        "Makes the volumes of StorageClasses whose provisioner is " + provisionerName + ": folders and disks on this machine",
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
			storage.NewProvisionController(ctx, client, provisionerName, provisioner{root: root},
				storage.LeaderElection(false)).Run(ctx)
			return nil
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file that says how to reach the API server and as whom")
	command.Flags().StringVar(&folder, "folder", "", "existing folder in which each volume gets one of its own")
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
