package policy

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The cluster of these tests: shop/web (here) serves http on 8080 and metrics
// on 9000, shop/old (elsewhere) http on 80; three clients, and what is no
// endpoint: a pod in the host's network and one that has finished.
const here, elsewhere = "node-1", "node-2"

var addressOf = map[string]string{
	"shop/web": "10.9.1.1", "shop/old": "10.9.2.1", "shop/client": "10.9.1.2",
	"bank/client": "10.9.2.2", "bank/teller": "10.9.2.3",
	"shop/host": "10.9.255.11", "shop/done": "10.9.1.9", "outside": "192.0.2.7",
}

func testPods() []*corev1.Pod {
	port := func(name string, number int32, protocol corev1.Protocol) corev1.ContainerPort {
		return corev1.ContainerPort{Name: name, ContainerPort: number, Protocol: protocol}
	}
	made := func(name, node string, ports ...corev1.ContainerPort) *corev1.Pod {
		namespace, short, _ := strings.Cut(name, "/")
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: short, Labels: map[string]string{"app": short}},
			Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: ports}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: addressOf[name]},
		}
	}
	host, done := made("shop/host", here), made("shop/done", here)
	host.Spec.HostNetwork = true
	done.Status.Phase = corev1.PodSucceeded
	return []*corev1.Pod{
		made("shop/web", here, port("http", 8080, ""), port("metrics", 9000, ""), port("dns", 53, corev1.ProtocolUDP)),
		made("shop/old", elsewhere, port("http", 80, "")),
		made("shop/client", here), made("bank/client", elsewhere), made("bank/teller", elsewhere),
		host, done,
	}
}

// world is that cluster with these policies of namespace shop, each given as
// the YAML of its spec.
func world(t *testing.T, specs ...string) Cluster {
	t.Helper()
	cluster := Cluster{Pods: testPods()}
	for _, name := range []string{"shop", "bank"} {
		cluster.Namespaces = append(cluster.Namespaces,
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}})
	}
	for i, text := range specs {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: string(rune('a' + i))}}
		if err := yaml.UnmarshalStrict([]byte(text), &policy.Spec); err != nil {
			t.Fatal(err)
		}
		cluster.Policies = append(cluster.Policies, policy)
	}
	return cluster
}

// allows is what the rules mean, independent of how nftables says it.
func (r Rules) allows(from, to string, protocol corev1.Protocol, port uint16) bool {
	source, target := netip.MustParseAddr(addressOf[from]), netip.MustParseAddr(addressOf[to])
	passes := func(lists map[netip.Addr]string, own, other netip.Addr) bool {
		list := lists[own]
		return list == "" || slices.ContainsFunc(r.Lists[list], func(allow Allow) bool {
			peer := allow.Peer.Set == "" || slices.Contains(r.Sets[allow.Peer.Set], other)
			if allow.Peer.Block.IsValid() {
				peer = allow.Peer.Block.Contains(other)
			}
			for _, except := range allow.Peer.Except {
				peer = peer && !except.Contains(other)
			}
			ports := allow.Ports.Protocol == "" || allow.Ports.Protocol == protocol && (len(allow.Ports.Ranges) == 0 ||
				slices.ContainsFunc(allow.Ports.Ranges, func(one Range) bool { return one.First <= port && port <= one.Last }))
			return peer && ports
		})
	}
	return passes(r.Egress, source, target) && passes(r.Ingress, target, source)
}

// What policies allow, as the reference of NetworkPolicy says.
func TestPoliciesAllow(t *testing.T) {
	const (
		denyIngress = `podSelector: {}`
		denyBoth    = `{podSelector: {}, policyTypes: [Ingress, Egress]}`
	)
	for name, test := range map[string]struct {
		specs           []string
		allowed, denied []string // "from to protocol/port ..."
	}{
		"without a policy everything is allowed": {
			nil, []string{"bank/client shop/web TCP/8080 UDP/53", "shop/web bank/client TCP/1", "outside shop/web SCTP/7"}, nil,
		},
		"an empty selector isolates every pod of the namespace, for ingress only if nothing else is said": {
			[]string{denyIngress},
			[]string{"shop/web bank/client TCP/80"},
			[]string{"shop/client shop/web TCP/8080 UDP/53 SCTP/7", "outside shop/web TCP/8080", "bank/client shop/client TCP/1"},
		},
		"a policy with egress rules and no types is of both": {
			[]string{`{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}`},
			nil,
			[]string{"shop/web bank/client TCP/80", "shop/web outside TCP/443", "bank/client shop/web TCP/8080"},
		},
		"policyTypes Egress leaves ingress open": {
			[]string{`{podSelector: {}, policyTypes: [Egress]}`},
			[]string{"bank/client shop/web TCP/8080"}, []string{"shop/web bank/client TCP/80"},
		},
		"a policy concerns only the pods that it selects": {
			[]string{`{podSelector: {matchLabels: {app: web}}}`},
			[]string{"bank/client shop/client TCP/80"}, []string{"bank/client shop/web TCP/80"},
		},
		"an empty rule allows everybody": {
			[]string{`{podSelector: {}, ingress: [{}]}`}, []string{"outside shop/web TCP/80 SCTP/7", "bank/client shop/web UDP/53"}, nil,
		},
		"an empty list of peers is everybody": {
			[]string{`{podSelector: {}, ingress: [{from: [], ports: [{port: 80}]}]}`},
			[]string{"outside shop/web TCP/80"}, []string{"outside shop/web TCP/81"},
		},
		"podSelector means pods of the policy's own namespace": {
			[]string{`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}`},
			[]string{"shop/client shop/web TCP/8080 UDP/1"}, []string{"bank/client shop/web TCP/8080", "outside shop/web TCP/8080"},
		},
		"namespaceSelector means all pods of these namespaces": {
			[]string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: bank}}}]}]}`},
			[]string{"bank/client shop/web TCP/8080", "bank/teller shop/web TCP/1"}, []string{"shop/client shop/web TCP/8080", "outside shop/web TCP/1"},
		},
		"an empty namespaceSelector means every pod, but nobody else": {
			[]string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`},
			[]string{"bank/client shop/web TCP/8080", "shop/client shop/web TCP/1"}, []string{"outside shop/web TCP/8080"},
		},
		"both selectors in one peer must match": {
			[]string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: bank}}, podSelector: {matchLabels: {app: client}}}]}]}`},
			[]string{"bank/client shop/web TCP/8080"}, []string{"bank/teller shop/web TCP/8080", "shop/client shop/web TCP/8080"},
		},
		"of two peers one is enough": {
			[]string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {name: bank}}}, {podSelector: {matchLabels: {app: client}}}]}]}`},
			[]string{"bank/teller shop/web TCP/8080", "shop/client shop/web TCP/8080"}, []string{"shop/old shop/web TCP/8080"},
		},
		"expressions select too": {
			[]string{`{podSelector: {matchExpressions: [{key: app, operator: In, values: [web, old]}]}}`},
			[]string{"bank/client shop/client TCP/1"}, []string{"bank/client shop/web TCP/1", "shop/client shop/web TCP/1"},
		},
		"a selector that matches nobody allows nobody": {
			[]string{`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: nobody}}}]}]}`},
			nil, []string{"shop/client shop/web TCP/8080", "outside shop/web TCP/8080"},
		},
		"a block without its exceptions": {
			[]string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.9.0.0/16, except: [10.9.1.0/24, 10.9.2.3/32]}}]}]}`},
			[]string{"bank/client shop/web TCP/8080"}, []string{"shop/client shop/web TCP/8080", "bank/teller shop/web TCP/8080", "outside shop/web TCP/1"},
		},
		"the block of everything": {
			[]string{`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.9.0.0/16]}}]}], policyTypes: [Egress]}`},
			[]string{"shop/web outside TCP/443"}, []string{"shop/web bank/client TCP/443"},
		},
		"a block of IPv6 is nobody here": {
			[]string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`}, nil, []string{"bank/client shop/web TCP/8080"},
		},
		"ports of each protocol, TCP unless said": {
			[]string{`{podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP, port: 53}, {protocol: SCTP, port: 7}]}]}`},
			[]string{"outside shop/web TCP/80 UDP/53 SCTP/7"}, []string{"outside shop/web TCP/53 UDP/80 SCTP/80 TCP/7"},
		},
		"a protocol without a port is every port of it": {
			[]string{`{podSelector: {}, ingress: [{ports: [{protocol: UDP}, {protocol: UDP, port: 7}]}]}`},
			[]string{"outside shop/web UDP/1 UDP/65535"}, []string{"outside shop/web TCP/1 SCTP/1"},
		},
		"a range of ports with both its ends": {
			[]string{`{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8100}, {port: 8050, endPort: 8200}, {port: 65535}]}]}`},
			[]string{"outside shop/web TCP/8000 TCP/8100 TCP/8200 TCP/65535"}, []string{"outside shop/web TCP/7999 TCP/8201 UDP/8000"},
		},
		"a named port has the number that the receiver gives it": {
			[]string{`{podSelector: {}, ingress: [{ports: [{port: http}]}]}`},
			[]string{"outside shop/web TCP/8080"},
			[]string{"outside shop/web TCP/80 TCP/9000 UDP/8080", "outside shop/client TCP/8080"},
		},
		"a named port is of its protocol": {
			[]string{`{podSelector: {}, ingress: [{ports: [{port: dns}]}]}`}, nil, []string{"outside shop/web TCP/53 UDP/53"},
		},
		"a named port going out has each receiver's number": {
			[]string{`{podSelector: {matchLabels: {app: client}}, egress: [{to: [{podSelector: {}}], ports: [{port: http}, {port: 1}]}], policyTypes: [Egress]}`},
			[]string{"shop/client shop/web TCP/8080 TCP/1", "shop/client shop/old TCP/80"},
			[]string{"shop/client shop/web TCP/80", "shop/client shop/old TCP/8080", "shop/client bank/client TCP/1", "shop/client outside TCP/8080"},
		},
		"a named port to everybody is any pod's that has it": {
			[]string{`{podSelector: {matchLabels: {app: client}}, egress: [{ports: [{port: http}]}], policyTypes: [Egress]}`},
			[]string{"shop/client shop/web TCP/8080", "shop/client shop/old TCP/80"}, []string{"shop/client bank/client TCP/8080", "shop/client outside TCP/8080"},
		},
		"policies add up": {
			[]string{
				denyBoth,
				`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]}`,
				`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 9000}]}]}`,
			},
			[]string{"bank/client shop/web TCP/9000"}, []string{"bank/client shop/web TCP/8080", "shop/web bank/client TCP/1"},
		},
		"both ends must allow it": {
			[]string{denyBoth, `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}`},
			nil, []string{"shop/client shop/web TCP/8080"}, // the client may not send
		},
		"default deny with DNS": {
			[]string{denyBoth, `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {name: bank}}, podSelector: {matchLabels: {app: teller}}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}]}`},
			[]string{"shop/web bank/teller UDP/53 TCP/53"}, []string{"shop/web bank/teller TCP/80", "shop/web bank/client UDP/53", "shop/web outside UDP/53"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules := Compute(world(t, test.specs...), here)
			for want, connections := range map[bool][]string{true: test.allowed, false: test.denied} {
				for _, text := range connections {
					words := strings.Fields(text)
					for _, ports := range words[2:] {
						protocol, number, _ := strings.Cut(ports, "/")
						port := netip.MustParseAddrPort("1.1.1.1:" + number).Port()
						if got := rules.allows(words[0], words[1], corev1.Protocol(protocol), port); got != want {
							t.Errorf("%s to %s, %s: allowed is %t, want %t", words[0], words[1], ports, got, want)
						}
					}
				}
			}
		})
	}
}

// The rules know the pods of this node that have an address of their own now.
func TestOnlyLocalEndpointsAreKnown(t *testing.T) {
	rules := Compute(world(t, `podSelector: {}`), here)

	want := []netip.Addr{netip.MustParseAddr("10.9.1.1"), netip.MustParseAddr("10.9.1.2")}
	for _, lists := range []map[netip.Addr]string{rules.Ingress, rules.Egress} {
		if got := slices.SortedFunc(maps.Keys(lists), netip.Addr.Compare); !reflect.DeepEqual(got, want) {
			t.Errorf("known are %v, want %v", got, want)
		}
	}
}

// Neither a pod in the host's network nor one that has finished is a peer: its
// address is the node's, or already another pod's.
func TestNoEndpointIsNoPeer(t *testing.T) {
	rules := Compute(world(t, `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`), here)

	for _, from := range []string{"shop/host", "shop/done"} {
		if rules.allows(from, "shop/web", corev1.ProtocolTCP, 8080) {
			t.Errorf("%s is taken for a peer", from)
		}
	}
}

// While a deleted pod is still listed, its address is the new pod's already.
func TestAddressIsTheNewerPods(t *testing.T) {
	cluster := world(t, `podSelector: {matchLabels: {app: web}}`)
	leaving := testPods()[2] // shop/client, which no policy selects
	leaving.Name, leaving.Status.PodIP = "leaving", addressOf["shop/web"]
	leaving.DeletionTimestamp = &metav1.Time{}

	for _, pods := range [][]*corev1.Pod{append([]*corev1.Pod{leaving}, cluster.Pods...), append(cluster.Pods, leaving)} {
		cluster.Pods = pods
		if Compute(cluster, here).allows("bank/client", "shop/web", corev1.ProtocolTCP, 1) {
			t.Error("the leaving pod's openness passed on to the new one")
		}
	}
}

// The same cluster, told in another order, gives the same rules, so that
// nothing is written for it; pods that may do the same share a list.
func TestRulesDependOnContentOnly(t *testing.T) {
	cluster := world(t, `{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`, `{podSelector: {}, policyTypes: [Egress]}`)
	first := Compute(cluster, here)
	slices.Reverse(cluster.Pods)
	slices.Reverse(cluster.Policies)

	if second := Compute(cluster, here); !reflect.DeepEqual(first, second) {
		t.Errorf("%v became %v", first, second)
	}
	if len(first.Lists) != 2 || len(first.Sets) != 1 {
		t.Errorf("%d lists and %d sets for two pods alike, want 2 and 1", len(first.Lists), len(first.Sets))
	}
}
