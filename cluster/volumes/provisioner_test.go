package volumes

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	storage "sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// claimed is a claim of 1 GiB that many nodes write, as the scheduler hands it on.
func claimed() storage.ProvisionOptions {
	reclaim := corev1.PersistentVolumeReclaimDelete
	return storage.ProvisionOptions{
		PVName:       "pvc-1234",
		StorageClass: &storagev1.StorageClass{ReclaimPolicy: &reclaim, Parameters: map[string]string{filesystem: "ext4"}},
		PVC: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "iceberg-warehouse"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				},
			},
		},
	}
}

// A claim of many nodes, whatever its class, gets a folder named after it that every user may write to, whatever
// the umask, and a volume that says what was claimed.
func TestProvisionMakesFolderForEveryUser(t *testing.T) {
	t.Cleanup(func(old int) func() { return func() { syscall.Umask(old) } }(syscall.Umask(0o077)))
	folders := provisioner{root: t.TempDir()}

	volume, state, err := folders.Provision(context.Background(), claimed())

	if err != nil || state != storage.ProvisioningFinished {
		t.Fatalf("state %s, error %v", state, err)
	}
	path := filepath.Join(folders.root, "production_iceberg-warehouse_pvc-1234")
	if volume.Name != "pvc-1234" || volume.Spec.HostPath.Path != path {
		t.Errorf("volume %s at %s", volume.Name, volume.Spec.HostPath.Path)
	}
	if size := volume.Spec.Capacity[corev1.ResourceStorage]; size.String() != "1Gi" {
		t.Errorf("capacity %s", size.String())
	}
	if volume.Spec.AccessModes[0] != corev1.ReadWriteMany || volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("access %v, reclaim %s", volume.Spec.AccessModes, volume.Spec.PersistentVolumeReclaimPolicy)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

// An attempt that is repeated finds the folder of the first and goes on.
func TestProvisionCanBeRepeated(t *testing.T) {
	folders := provisioner{root: t.TempDir()}
	for range 2 {
		if _, _, err := folders.Provision(context.Background(), claimed()); err != nil {
			t.Fatal(err)
		}
	}
}

// A released volume goes with its data.
func TestDeleteRemovesData(t *testing.T) {
	folders := provisioner{root: t.TempDir()}
	volume, _, err := folders.Provision(context.Background(), claimed())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(volume.Spec.HostPath.Path, "data"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}

	if err := folders.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}

	if left, _ := os.ReadDir(folders.root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A volume that points elsewhere is refused and its target kept.
func TestDeleteKeepsWhatIsElsewhere(t *testing.T) {
	outside := t.TempDir()
	folders := provisioner{root: t.TempDir()}
	inside := filepath.Join(folders.root, "a", "b")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{outside, inside, folders.root, folders.root + "/../" + filepath.Base(outside)} {
		for _, source := range []corev1.PersistentVolumeSource{
			{HostPath: &corev1.HostPathVolumeSource{Path: path}},
			{Local: &corev1.LocalVolumeSource{Path: filepath.Join(path, "device")}},
		} {
			if source.Local != nil && path == inside {
				source.Local.Path = filepath.Join(inside, "c", "device")
			}
			volume := &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: source}}
			if err := folders.Delete(context.Background(), volume); err == nil {
				t.Errorf("deleting %s is not refused", path)
			}
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s is gone", path)
		}
	}
}

// A class that asks for what there is not is refused, and nothing is made.
func TestProvisionRefusesOtherFileSystems(t *testing.T) {
	folders := provisioner{root: t.TempDir()}
	options := claimed()
	options.StorageClass.Parameters = map[string]string{filesystem: "ntfs"}
	if _, _, err := folders.Provision(context.Background(), options); err == nil || !strings.Contains(err.Error(), `filesystem is "ntfs"`) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(folders.root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A folder that is not there, or a file, is refused with the flag's name.
func TestVolumesRootMustBeFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{file, file + "-not-there"} {
		if _, err := volumesRoot(folder); err == nil {
			t.Errorf("%s is not refused", folder)
		}
	}
}
