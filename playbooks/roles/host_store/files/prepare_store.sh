#!/bin/sh
# Prepare a containerd root with images imported and unpacked.
#
#   prepare_store.sh FOLDER ARCHIVE...
#
# Starts a containerd of its own (sockets and state in a private folder, nothing shared with another
# containerd on the machine), imports each docker-archive into the namespace that Kubernetes uses, and stops it.
# FOLDER appears complete or not at all. Two runs at a time do the work once.
set -eu

# A process and mount namespace of its own: whatever way this ends, no containerd and no mount stays behind.
if [ "${PREPARE_STORE_INSIDE:-}" != yes ]; then
  PREPARE_STORE_INSIDE=yes exec unshare --mount --pid --fork --kill-child=SIGKILL --mount-proc "$0" "$@"
fi

folder=$1
shift
mkdir -p "${folder%/*}"
exec 9>"${folder%/*}/.lock"
flock 9
if [ -e "$folder" ]; then
  exit 0
fi
store=$folder.unfinished
rm -rf "$store" # of a run that was killed
private=$(mktemp -d)
log=$private/containerd.log
containerd_pid=

stop_containerd() {
  if [ -n "$containerd_pid" ]; then
    kill "$containerd_pid" 2>/dev/null || true
    wait "$containerd_pid" 2>/dev/null || true
    containerd_pid=
  fi
}

finish() {
  status=$?
  stop_containerd
  if [ "$status" -ne 0 ]; then
    echo "prepare_store.sh failed; containerd's last words:" >&2
    tail -n 20 "$log" >&2 || true
    rm -rf "$store"
  fi
  rm -rf "$private"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$store"
cat >"$private/config.toml" <<END
version = 2
root = "$store"
state = "$private/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "$private/containerd.sock"
END
containerd --config "$private/config.toml" >"$log" 2>&1 9>&- &
containerd_pid=$!

tries=0
until ctr --address "$private/containerd.sock" version >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 150 ] || ! kill -0 "$containerd_pid" 2>/dev/null; then
    echo "prepare_store.sh: containerd did not start" >&2
    exit 1
  fi
  sleep 0.2
done

for archive in "$@"; do
  ctr --address "$private/containerd.sock" --namespace k8s.io images import --snapshotter overlayfs "$archive"
done
ctr --address "$private/containerd.sock" --namespace k8s.io images list --quiet
stop_containerd
mv -T "$store" "$folder"
