#!/bin/sh
# Compile the components into FOLDER, with a link for each name the binary answers to.
#
#   build_binary.sh MODULE FOLDER LINKER_FLAGS
#
# FOLDER appears complete or not at all. Two runs at a time do the work once.
set -eu
module=$1
folder=$2
linker_flags=$3

mkdir -p "${folder%/*}"
exec 9>"${folder%/*}/.lock"
flock 9
if [ -e "$folder" ]; then
  exit 0
fi

unfinished=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$unfinished"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
CGO_ENABLED=0 go build -C "$module" -mod=readonly -trimpath -ldflags "$linker_flags" -o "$unfinished/assay-cluster" .
for component in $("$unfinished/assay-cluster" components); do
  ln -s assay-cluster "$unfinished/$component"
done
chmod 755 "$unfinished"
mv -T "$unfinished" "$folder"
