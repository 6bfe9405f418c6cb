#!/bin/sh
# Build one image from its Dockerfile and keep it as a docker-archive.
#
#   build_image.sh REFERENCE ARCHIVE DOCKERFILE CONTEXT BASE CA_BUNDLE [BESIDE]
#
# BESIDE, a file or folder, is put into a copy of CONTEXT for the build. CA_BUNDLE is mounted for Dockerfiles that
# have the argument PIP_CERT. ARCHIVE appears complete or not at all; a log of the build lies beside the builds.
set -eu
reference=$1
archive=$2
dockerfile=$3
context=$4
base=$5
ca_bundle=$6
beside=${7:-}

mkdir -p "${archive%/*}"
exec 9>"$archive.lock"
flock 9
if [ -e "$archive" ]; then
  exit 0
fi

work=$(mktemp -d)
log=$archive.log
finish() {
  status=$?
  if [ "$status" -ne 0 ] && [ -e "$log" ]; then
    echo "Building $reference failed; the last lines of $log:" >&2
    tail -n 30 "$log" >&2
  fi
  rm -rf "$work" "$archive.unfinished"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "$beside" ]; then
  cp -a "$context/." "$work/"
  cp -a "$beside" "$work/"
  context=$work
fi
set -- --build-arg "BASE_IMAGE=$base"
if grep -q '^ARG PIP_CERT' "$dockerfile" && [ -e "$ca_bundle" ]; then
  set -- "$@" --volume "$ca_bundle:/run/host-ca.crt:ro" --build-arg PIP_CERT=/run/host-ca.crt
fi
buildah bud --isolation chroot --pull-never --layers "$@" --file "$dockerfile" --tag "$reference" "$context" >"$log" 2>&1
buildah push --quiet "$reference" "docker-archive:$archive.unfinished:$reference" >>"$log" 2>&1
mv "$archive.unfinished" "$archive"
