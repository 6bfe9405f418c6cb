#!/bin/sh
# Make the Debian base that the images stand on: the local stand-in for the image debian:<suite>-slim.
#
#   build_base.sh REFERENCE ROOTFS SUITE PACKAGES [MIRROR]
#
# ROOTFS is the archive kept for the next time buildah's storage is empty.
set -eu
reference=$1
rootfs=$2
suite=$3
packages=$4
mirror=${5:-}

mkdir -p "${rootfs%/*}"
exec 9>"${rootfs%/*}/.lock"
flock 9
if buildah inspect --type image "$reference" >/dev/null 2>&1; then
  exit 0
fi

unfinished=$rootfs.unfinished.tar
container=
finish() {
  rm -f "$unfinished"
  if [ -n "$container" ]; then buildah rm "$container" >/dev/null; fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ ! -e "$rootfs" ]; then
  # The same files are left out as in Debian's own slim images.
  mmdebstrap --quiet --variant=minbase --include="$packages" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/groff/*' \
    --dpkgopt='path-exclude=/usr/share/lintian/*' \
    "$suite" "$unfinished" ${mirror:+"$mirror"}
  mv "$unfinished" "$rootfs"
fi

container=$(buildah from scratch)
buildah add --quiet "$container" "$rootfs" / >/dev/null
buildah config --cmd /bin/bash "$container"
buildah commit --quiet "$container" "$reference" >/dev/null
