#!/bin/sh
# Fetch the jars that a pom names into FOLDER, in the place of whatever was there.
#
#   fetch_jars.sh POM FOLDER
set -eu
pom=$1
folder=$2

unfinished=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$unfinished"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mvn --batch-mode --quiet --file "$pom" dependency:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory="$unfinished/libs"
rm -rf "$folder"
mv -T "$unfinished/libs" "$folder"
