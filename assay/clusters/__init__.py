"""Where the platform runs: an embedded Kubernetes, Docker's kind, k3d or minikube, or a cluster that exists already."""
