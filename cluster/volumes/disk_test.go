package volumes

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	storage "sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const mebibyte = 1 << 20

// claimedDisk is a claim of 64 MiB that one node writes.
func claimedDisk() storage.ProvisionOptions {
	options := claimed()
	options.PVC.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	options.PVC.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("64Mi")
	return options
}

// onDisks is a provisioner on a machine that can have disks; whatever a test
// leaves is removed after it.
func onDisks(t *testing.T) provisioner {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making disks needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "losetup"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip(err)
	}
	disks := provisioner{root: t.TempDir()}
	t.Cleanup(func() {
		folders, _ := os.ReadDir(disks.root)
		for _, one := range folders {
			if err := (disk{folder: filepath.Join(disks.root, one.Name())}).remove(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return disks
}

// provisioned is the volume of a claim, and its disk.
func provisioned(t *testing.T, disks provisioner, options storage.ProvisionOptions) (*corev1.PersistentVolume, disk) {
	t.Helper()
	volume, state, err := disks.Provision(context.Background(), options)
	if err != nil || state != storage.ProvisioningFinished {
		t.Fatalf("state %s, error %v", state, err)
	}
	return volume, disk{folder: filepath.Dir(volume.Spec.Local.Path)}
}

// mounted mounts a disk until the test ends, or the returned function is called.
func mounted(t *testing.T, one disk) (string, func()) {
	t.Helper()
	root := t.TempDir()
	if err := syscall.Mount(one.device(), root, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	unmount := func() { _ = syscall.Unmount(root, 0) }
	t.Cleanup(unmount)
	return root, unmount
}

func devicesOf(t *testing.T, one disk) []string {
	t.Helper()
	devices, err := one.devices(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return devices
}

// A claim of one node gets an empty file system of its size that every user may
// write to, on any node; what is not written takes no space of the machine.
func TestDiskHasItsOwnSize(t *testing.T) {
	volume, one := provisioned(t, onDisks(t), claimedDisk())

	if filepath.Base(one.folder) != "production_iceberg-warehouse_pvc-1234" || volume.Name != "pvc-1234" {
		t.Errorf("volume %s at %s", volume.Name, volume.Spec.Local.Path)
	}
	if *volume.Spec.Local.FSType != "ext4" || volume.Spec.MountOptions[0] != "discard" || volume.Spec.NodeAffinity == nil {
		t.Errorf("%+v", volume.Spec)
	}
	root, _ := mounted(t, one)
	info, err := os.Stat(root)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if found, err := os.ReadDir(root); len(found) != 0 || err != nil {
		t.Errorf("found %v, error %v", found, err)
	}
	var space syscall.Statfs_t
	if err := syscall.Statfs(root, &space); err != nil {
		t.Fatal(err)
	}
	if total := space.Blocks * uint64(space.Bsize); total > 64*mebibyte || total < 56*mebibyte {
		t.Errorf("%d bytes", total)
	}
	image, err := os.Stat(one.image())
	if err != nil {
		t.Fatal(err)
	}
	if taken := image.Sys().(*syscall.Stat_t).Blocks * 512; taken > 4*mebibyte {
		t.Errorf("%d bytes are taken", taken)
	}
}

// What fills a disk fills nothing else, and what is deleted is given back.
func TestDiskIsFullByItself(t *testing.T) {
	disks := onDisks(t)
	_, one := provisioned(t, disks, claimedDisk())
	root, _ := mounted(t, one)

	err := os.WriteFile(filepath.Join(root, "big"), make([]byte, 80*mebibyte), 0o600)

	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(filepath.Join(disks.root, "beside"), make([]byte, mebibyte), 0o600); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(disks.root, "beside")), os.Remove(filepath.Join(root, "big"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "small"), make([]byte, mebibyte), 0o600); err != nil {
		t.Error(err)
	}
}

// An attempt that is repeated makes one disk, not two.
func TestDiskCanBeMadeAgain(t *testing.T) {
	disks := onDisks(t)
	for range 2 {
		_, one := provisioned(t, disks, claimedDisk())
		if devices := devicesOf(t, one); len(devices) != 1 {
			t.Errorf("devices %v", devices)
		}
	}
}

// A released disk goes with its device and its file.
func TestDeleteRemovesDisk(t *testing.T) {
	disks := onDisks(t)
	volume, one := provisioned(t, disks, claimedDisk())
	if devices := devicesOf(t, one); len(devices) != 1 {
		t.Fatalf("devices %v", devices)
	}

	if err := disks.Delete(context.Background(), volume); err != nil {
		t.Fatal(err)
	}

	if found, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(found), disks.root) {
		t.Error("it is mounted")
	}
	if left, _ := os.ReadDir(disks.root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	attached, err := run(context.Background(), "losetup", "--list", "--noheadings", "--output", "BACK-FILE")
	if err != nil || strings.Contains(attached, disks.root) {
		t.Errorf("attached %s, error %v", attached, err)
	}
}

// A disk that is mounted is kept and told so; once it is not, it can be deleted.
func TestDeleteKeepsDiskInUse(t *testing.T) {
	disks := onDisks(t)
	volume, one := provisioned(t, disks, claimedDisk())
	_, unmount := mounted(t, one)

	if err := disks.Delete(context.Background(), volume); err == nil || !strings.Contains(err.Error(), "is still in use") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(one.image()); err != nil {
		t.Error(err)
	}
	unmount()
	if err := disks.Delete(context.Background(), volume); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(one.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// Where a tool is missing the error names it, and nothing is left.
func TestDiskWithoutToolLeavesNothing(t *testing.T) {
	losetup, err := exec.LookPath("losetup")
	if err != nil {
		t.Skip(err)
	}
	tools := t.TempDir()
	if err := os.Symlink(losetup, filepath.Join(tools, "losetup")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools)
	disks := provisioner{root: t.TempDir()}

	_, _, err = disks.Provision(context.Background(), claimedDisk())

	if err == nil || !strings.Contains(err.Error(), "mkfs.ext4") {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(disks.root); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
