#!/bin/sh
# Compile Kubernetes' end-to-end suite and what belongs to it into FOLDER:
#
#   e2e.test, ginkgo, kubectl     the suite, what runs it in parallel, what its specs call
#   agnhost/, nonewprivs/         programs for images, each with the files that belong beside it
#
#   build_suite.sh MODULE FOLDER LINKER_FLAGS
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
export CGO_ENABLED=0
build() {
  go build -C "$module" -mod=readonly -trimpath -ldflags "$linker_flags" -o "$1" "$2"
}
build "$unfinished/ginkgo" github.com/onsi/ginkgo/v2/ginkgo
build "$unfinished/kubectl" k8s.io/kubernetes/cmd/kubectl
build "$unfinished/agnhost/agnhost" k8s.io/kubernetes/test/images/agnhost
build "$unfinished/nonewprivs/nnp" k8s.io/kubernetes/test/images/nonewprivs
kubernetes=$(go list -C "$module" -mod=readonly -m -f '{{.Dir}}' k8s.io/kubernetes)
install -m 644 "$kubernetes/test/images/agnhost/porter/localhost.crt" \
  "$kubernetes/test/images/agnhost/porter/localhost.key" "$unfinished/agnhost"
go test -C "$module" -mod=readonly -trimpath -vet=off -ldflags "$linker_flags" -c -o "$unfinished/e2e.test" \
  k8s.io/kubernetes/test/e2e
chmod 755 "$unfinished"
mv -T "$unfinished" "$folder"
