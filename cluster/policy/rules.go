// Package policy enforces Kubernetes' NetworkPolicies on one node of an
// embedded cluster, whose pods are routed: all their packets, those between two
// pods of the node too, pass the forward hook of the node's network namespace.
//
// Compute (pure) makes Rules of what the API server says; Table writes them to
// nftables in one transaction; Engine calls both whenever something changes.
package policy

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// Rules say what the pods of one node may receive and send.
type Rules struct {
	// Ingress and Egress name the allow list of each local pod by its address,
	// or no list ("") where no policy isolates it in that direction. A pod that
	// is in neither is unknown, and gets nothing through.
	Ingress, Egress map[netip.Addr]string
	// Lists are what isolated pods are allowed, by a name made of their content:
	// pods that may do the same share one.
	Lists map[string][]Allow
	// Sets are the addresses that peers' selectors choose, named by content too.
	Sets map[string][]netip.Addr
}

// Allow is one thing that is allowed to an isolated pod: this peer on these
// ports.
type Allow struct {
	Peer  Peer
	Ports Ports
}

// Peer is the other end: a set of pods, a block of addresses, or anybody if
// both are empty.
type Peer struct {
	Set    string         // a name in Rules.Sets
	Block  netip.Prefix   // the zero Prefix is none
	Except []netip.Prefix // parts of Block that it does not mean
}

// Ports are destination ports of one protocol; no protocol means everything,
// no ranges every port of it.
type Ports struct {
	Protocol corev1.Protocol
	Ranges   []Range
}

// Range is the ports from First to Last, both included.
type Range struct {
	First, Last uint16
}
