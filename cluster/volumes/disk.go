package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// smallest is the least size of a disk: an ext4 file system needs some room for itself.
	smallest = 1 << 20
	// blockSize is that of the file system and of its device: whole pages, which direct I/O takes everywhere.
	blockSize = "4096"
	// detachFor is how long a disk that is asked to go may still be unmounted by a kubelet.
	detachFor = 2 * time.Second
)

// disk is a volume with a file system of its own, in its folder: a sparse file
// that takes only the space of what was written, and the link to the loop
// device that makes a disk of it. A loop device belongs to the whole machine
// and outlives the processes of the cluster: whoever removes the cluster
// detaches those of these files (assay/clusters/disks.py).
type disk struct {
	folder string
}

func (d disk) image() string  { return filepath.Join(d.folder, "disk.ext4") }
func (d disk) device() string { return filepath.Join(d.folder, "device") }
func (d disk) opened() string { return filepath.Join(d.folder, "opened") }

// make makes the disk, which must not be there yet, with a file system of at
// most this size, in bytes, that every user may write to and nothing is in.
//
// Direct I/O keeps what is written out of the page cache for a second time,
// where the machine's file system has it; else the kernel goes on without.
//
// The file system has no journal. The disk does not outlive the machine's
// boot, as the cluster does not, so nothing would ever replay one; and the
// kernel writes everything out when a dead node's mount goes.
func (d disk) make(ctx context.Context, size int64) error {
	if err := os.Mkdir(d.folder, 0o700); err != nil {
		return fmt.Errorf("making the volume's folder: %w", err)
	}
	image, err := os.OpenFile(d.image(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making the volume's file: %w", err)
	}
	if err := errors.Join(image.Truncate(max(size, smallest)), image.Close()); err != nil {
		return fmt.Errorf("giving the volume's file its size: %w", err)
	}
	if _, err := run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-b", blockSize, "-O", "^has_journal", d.image()); err != nil {
		return err
	}
	device, err := run(ctx, "losetup", "--find", "--show", "--sector-size", blockSize, "--direct-io=on", d.image())
	if err != nil {
		return err
	}
	device = strings.TrimSpace(device)
	if err := d.open(device); err != nil {
		return err
	}
	return os.Symlink(device, d.device())
}

// open lets every user write to the file system of a device, and leaves it
// empty, as the programs that get it expect: without lost+found.
func (d disk) open(device string) error {
	root := d.opened()
	if err := os.Mkdir(root, 0o700); err != nil {
		return fmt.Errorf("making a folder to mount %s at: %w", device, err)
	}
	if err := syscall.Mount(device, root, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", device, err)
	}
	err := errors.Join(os.Chmod(root, 0o777), os.Remove(filepath.Join(root, "lost+found")))
	if err := errors.Join(err, syscall.Unmount(root, 0)); err != nil {
		return fmt.Errorf("opening the file system of %s to every user: %w", device, err)
	}
	return os.Remove(root)
}

// remove removes the disk with all that is on it, whatever there is of it. One
// that is mounted stays until it is not: the kernel detaches it then.
func (d disk) remove(ctx context.Context) error {
	_ = syscall.Unmount(d.opened(), 0) // where its making was cut short
	deadline := time.Now().Add(detachFor)
	for {
		devices, err := d.devices(ctx)
		if err != nil {
			return err
		}
		if len(devices) == 0 {
			return os.RemoveAll(d.folder)
		}
		_, err = run(ctx, "losetup", append([]string{"--detach"}, devices...)...)
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%s is still in use: %s is kept", strings.Join(devices, ", "), d.folder), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// devices are the loop devices of the disk's file: one, or none.
func (d disk) devices(ctx context.Context) ([]string, error) {
	if _, err := os.Stat(d.image()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	found, err := run(ctx, "losetup", "--associated", d.image(), "--noheadings", "--output", "NAME")
	return strings.Fields(found), err
}

// run runs a tool and returns what it printed; the error says what it complained of.
func run(ctx context.Context, tool string, arguments ...string) (string, error) {
	printed, err := exec.CommandContext(ctx, tool, arguments...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return "", fmt.Errorf("%s: %w: %s", tool, err, strings.Join(strings.Fields(string(failed.Stderr)), " "))
	}
	if err != nil {
		return "", fmt.Errorf("running %s: %w", tool, err)
	}
	return string(printed), nil
}
