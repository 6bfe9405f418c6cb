package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Cluster is what the API server says.
type Cluster struct {
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*networkingv1.NetworkPolicy
}

// Compute makes the rules of one node's pods, as the API's documentation of
// NetworkPolicy defines them: a pod is isolated in a direction if a policy of
// that direction selects it, and then allowed what any of these policies allows.
//
// Pods in the host's network and pods that have finished are no endpoints.
func Compute(cluster Cluster, node string) Rules {
	c := newComputation(cluster)
	for _, address := range c.addresses {
		if e := c.endpoints[address]; e.pod.Spec.NodeName == node {
			c.rules.Ingress[address] = c.list(e, networkingv1.PolicyTypeIngress)
			c.rules.Egress[address] = c.list(e, networkingv1.PolicyTypeEgress)
		}
	}
	return c.rules
}

// endpoint is a pod that has an address of its own.
type endpoint struct {
	pod     *corev1.Pod
	address netip.Addr
}

type computation struct {
	rules      Rules
	namespaces map[string]labels.Set // their labels, by name
	policies   map[string][]*networkingv1.NetworkPolicy
	endpoints  map[netip.Addr]endpoint
	addresses  []netip.Addr // of all endpoints, ascending
}

func newComputation(cluster Cluster) *computation {
	c := &computation{
		rules: Rules{
			Ingress: map[netip.Addr]string{},
			Egress:  map[netip.Addr]string{},
			Lists:   map[string][]Allow{},
			Sets:    map[string][]netip.Addr{},
		},
		namespaces: map[string]labels.Set{},
		policies:   map[string][]*networkingv1.NetworkPolicy{},
		endpoints:  map[netip.Addr]endpoint{},
	}
	for _, namespace := range cluster.Namespaces {
		c.namespaces[namespace.Name] = namespace.Labels
	}
	for _, policy := range cluster.Policies {
		c.policies[policy.Namespace] = append(c.policies[policy.Namespace], policy)
	}
	for _, policies := range c.policies {
		slices.SortFunc(policies, func(a, b *networkingv1.NetworkPolicy) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, pod := range cluster.Pods {
		address, ok := podAddress(pod)
		if !ok {
			continue
		}
		// An address can pass on to a new pod while the old one is still listed.
		if other, taken := c.endpoints[address]; !taken || newer(pod, other.pod) {
			c.endpoints[address] = endpoint{pod: pod, address: address}
		}
	}
	for address := range c.endpoints {
		c.addresses = append(c.addresses, address)
	}
	slices.SortFunc(c.addresses, netip.Addr.Compare)
	return c
}

// podAddress is the pod's own IPv4 address, if it has one that it still uses.
func podAddress(pod *corev1.Pod) (netip.Addr, bool) {
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return netip.Addr{}, false
	}
	for _, one := range append([]corev1.PodIP{{IP: pod.Status.PodIP}}, pod.Status.PodIPs...) {
		if address, err := netip.ParseAddr(one.IP); err == nil && address.Is4() {
			return address, true
		}
	}
	return netip.Addr{}, false
}

func newer(pod, other *corev1.Pod) bool {
	if leaving := pod.DeletionTimestamp != nil; leaving != (other.DeletionTimestamp != nil) {
		return !leaving
	}
	if !pod.CreationTimestamp.Equal(&other.CreationTimestamp) {
		return other.CreationTimestamp.Before(&pod.CreationTimestamp)
	}
	return pod.UID > other.UID // any order that is always the same
}

// list is the name of what the policies of this direction allow the pod, ""
// if none of them selects it.
func (c *computation) list(e endpoint, direction networkingv1.PolicyType) string {
	isolated := false
	var allowed []Allow
	for _, policy := range c.policies[e.pod.Namespace] {
		if !concerns(policy, direction) || !selects(&policy.Spec.PodSelector, e.pod.Labels) {
			continue
		}
		isolated = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				allowed = append(allowed, c.ingress(e, policy.Namespace, rule)...)
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				allowed = append(allowed, c.egress(policy.Namespace, rule)...)
			}
		}
	}
	if !isolated {
		return ""
	}
	name := strings.ToLower(string(direction)) + "-" + hash(fmt.Sprint(allowed))
	c.rules.Lists[name] = allowed
	return name
}

// concerns says whether a policy isolates in a direction. The API server fills
// policyTypes in; without them every policy is one for ingress, and one for
// egress if it has such rules.
func concerns(policy *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) == 0 {
		return direction == networkingv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
	}
	return slices.Contains(policy.Spec.PolicyTypes, direction)
}

// ingress resolves a rule for one pod, which says what number a named port has.
func (c *computation) ingress(e endpoint, namespace string, rule networkingv1.NetworkPolicyIngressRule) []Allow {
	groups := groupPorts(rule.Ports, func(port networkingv1.NetworkPolicyPort) []Range {
		if number, ok := namedPort(e.pod, port.Port.StrVal, protocol(port)); ok {
			return []Range{{number, number}}
		}
		return nil
	})
	var allowed []Allow
	for _, peer := range c.peers(namespace, rule.From) {
		for _, ports := range groups {
			allowed = append(allowed, Allow{peer, ports})
		}
	}
	return allowed
}

// egress resolves a rule. A named port has the number that each destination
// gives it, so it allows only pods, in one set per number.
func (c *computation) egress(namespace string, rule networkingv1.NetworkPolicyEgressRule) []Allow {
	groups := groupPorts(rule.Ports, func(networkingv1.NetworkPolicyPort) []Range { return nil })
	var allowed []Allow
	for _, peer := range c.peers(namespace, rule.To) {
		for _, ports := range groups {
			allowed = append(allowed, Allow{peer, ports})
		}
	}
	for _, port := range rule.Ports {
		if port.Port == nil || port.Port.StrVal == "" {
			continue
		}
		destinations := map[uint16][]netip.Addr{}
		for _, address := range c.addresses {
			e := c.endpoints[address]
			if number, ok := namedPort(e.pod, port.Port.StrVal, protocol(port)); ok && c.among(rule.To, namespace, e) {
				destinations[number] = append(destinations[number], address)
			}
		}
		for _, number := range sortedKeys(destinations) {
			allowed = append(allowed, Allow{
				Peer{Set: c.set(destinations[number])},
				Ports{protocol(port), []Range{{number, number}}},
			})
		}
	}
	return allowed
}

// peers are the other ends that a rule means: all that its selectors choose in
// one set, each of its blocks, anybody if it names nobody.
func (c *computation) peers(namespace string, declared []networkingv1.NetworkPolicyPeer) []Peer {
	if len(declared) == 0 {
		return []Peer{{}}
	}
	var peers []Peer
	var blocks, selectors []networkingv1.NetworkPolicyPeer
	for _, one := range declared {
		if one.IPBlock != nil {
			blocks = append(blocks, one)
		} else {
			selectors = append(selectors, one)
		}
	}
	var chosen []netip.Addr
	for _, address := range c.addresses {
		if len(selectors) > 0 && c.among(selectors, namespace, c.endpoints[address]) {
			chosen = append(chosen, address)
		}
	}
	if len(chosen) > 0 {
		peers = append(peers, Peer{Set: c.set(chosen)})
	}
	for _, one := range blocks {
		if peer, ok := blockPeer(one.IPBlock); ok {
			peers = append(peers, peer)
		}
	}
	return peers
}

// among says whether a rule's peers, named in a policy of this namespace,
// include a pod; no peers include everybody.
func (c *computation) among(peers []networkingv1.NetworkPolicyPeer, namespace string, e endpoint) bool {
	if len(peers) == 0 {
		return true
	}
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		if peer.IPBlock != nil {
			block, ok := blockPeer(peer.IPBlock)
			return ok && block.Block.Contains(e.address) && !slices.ContainsFunc(block.Except,
				func(except netip.Prefix) bool { return except.Contains(e.address) })
		}
		if peer.NamespaceSelector == nil {
			if e.pod.Namespace != namespace {
				return false
			}
		} else if own, known := c.namespaces[e.pod.Namespace]; !known || !selects(peer.NamespaceSelector, own) {
			return false
		}
		return peer.PodSelector == nil || selects(peer.PodSelector, e.pod.Labels)
	})
}

// blockPeer reads an ipBlock. One of IPv6 means none of our pods' addresses.
func blockPeer(block *networkingv1.IPBlock) (Peer, bool) {
	prefix, err := netip.ParsePrefix(block.CIDR)
	if err != nil || !prefix.Addr().Is4() {
		return Peer{}, false
	}
	peer := Peer{Block: prefix.Masked()}
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil || !except.Addr().Is4() {
			return Peer{}, false // never allow more than what was meant
		}
		peer.Except = append(peer.Except, except.Masked())
	}
	return peer, true
}

// groupPorts puts a rule's ports together by protocol; no ports are all of
// everything. What a named port means is for the caller to say.
func groupPorts(declared []networkingv1.NetworkPolicyPort, named func(networkingv1.NetworkPolicyPort) []Range) []Ports {
	if len(declared) == 0 {
		return []Ports{{}}
	}
	ranges := map[corev1.Protocol][]Range{}
	every := map[corev1.Protocol]bool{}
	for _, port := range declared {
		name := protocol(port)
		switch {
		case port.Port == nil:
			every[name] = true
		case port.Port.StrVal != "":
			ranges[name] = append(ranges[name], named(port)...)
		default:
			first := uint16(port.Port.IntVal)
			last := first
			if port.EndPort != nil {
				last = uint16(*port.EndPort)
			}
			ranges[name] = append(ranges[name], Range{first, last})
		}
	}
	var groups []Ports
	for _, name := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
		switch {
		case every[name]:
			groups = append(groups, Ports{Protocol: name})
		case len(ranges[name]) > 0:
			groups = append(groups, Ports{name, merged(ranges[name])})
		}
	}
	return groups
}

// merged sorts ranges and joins those that touch, as a set in nftables must
// not hold a port twice.
func merged(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return int(a.First) - int(b.First) })
	joined := ranges[:1]
	for _, next := range ranges[1:] {
		last := &joined[len(joined)-1]
		if int(next.First) > int(last.Last)+1 {
			joined = append(joined, next)
		} else {
			last.Last = max(last.Last, next.Last)
		}
	}
	return joined
}

func protocol(port networkingv1.NetworkPolicyPort) corev1.Protocol {
	if port.Protocol == nil {
		return corev1.ProtocolTCP
	}
	return *port.Protocol
}

// namedPort is the number of a pod's port of that name and protocol. Sidecars
// are init containers that are restarted.
func namedPort(pod *corev1.Pod, name string, protocol corev1.Protocol) (uint16, bool) {
	containers := slices.Clone(pod.Spec.Containers)
	for _, one := range pod.Spec.InitContainers {
		if one.RestartPolicy != nil && *one.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			containers = append(containers, one)
		}
	}
	for _, container := range containers {
		for _, port := range container.Ports {
			own := port.Protocol
			if own == "" {
				own = corev1.ProtocolTCP
			}
			if port.Name == name && own == protocol {
				return uint16(port.ContainerPort), true
			}
		}
	}
	return 0, false
}

// selects says whether a selector matches labels; one that can't be read,
// which the API server refuses, matches nothing.
func selects(selector *metav1.LabelSelector, own labels.Set) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(own)
}

// set names a set of addresses (ascending) by its content and keeps it.
func (c *computation) set(addresses []netip.Addr) string {
	name := "peers-" + hash(fmt.Sprint(addresses))
	c.rules.Sets[name] = addresses
	return name
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:10])
}

func sortedKeys[V any](m map[uint16]V) []uint16 {
	keys := make([]uint16, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
