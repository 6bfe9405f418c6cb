package policy

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// tableName is the nftables table (family ip) that holds everything.
const tableName = "assay-policy"

// Table is the node's table in nftables.
type Table struct {
	nft  knftables.Interface
	pods netip.Prefix // the addresses of this node's pods
}

// NewTable opens the table of the network namespace that this process is in.
func NewTable(nft knftables.Interface, pods netip.Prefix) *Table {
	return &Table{nft: nft, pods: pods}
}

// Exists says whether the table is there, made by a predecessor for instance.
func (t *Table) Exists(ctx context.Context) (bool, error) {
	_, err := t.nft.List(ctx, "chains")
	if knftables.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Replace puts rules in the place of those before, all at once: every packet
// meets the old ones or the new ones.
func (t *Table) Replace(ctx context.Context, rules Rules) error {
	tx := t.nft.NewTransaction()
	t.render(tx, rules)
	return t.nft.Run(ctx, tx)
}

// render writes the transaction.
//
// Replies pass. Packets in a connection's own direction are judged one by one,
// so that a policy made later ends connections that it does not allow. Then the
// sender's rules have their say and after them the receiver's: a list returns
// what it allows and drops the rest. What the node itself sends or receives
// does not come this way, as the API has it.
func (t *Table) render(tx *knftables.Transaction, rules Rules) {
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("NetworkPolicies of this node's pods")})

	for _, name := range slices.Sorted(maps.Keys(rules.Sets)) {
		tx.Add(&knftables.Set{Name: name, Type: "ipv4_addr"})
		for _, address := range rules.Sets[name] {
			tx.Add(&knftables.Element{Set: name, Key: []string{address.String()}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rules.Lists)) {
		tx.Add(&knftables.Chain{Name: name})
		peer, _, _ := strings.Cut(name, "-")
		for _, allow := range rules.Lists[name] {
			tx.Add(&knftables.Rule{Chain: name, Rule: match(allow, otherEnd[peer]) + "return"})
		}
		tx.Add(&knftables.Rule{Chain: name, Rule: "drop"})
	}

	direction(tx, "egress", "saddr", rules.Egress)
	direction(tx, "ingress", "daddr", rules.Ingress)

	tx.Add(&knftables.Set{Name: "self", Type: "ipv4_addr . ipv4_addr"})
	for _, address := range sortedAddresses(rules.Ingress) {
		tx.Add(&knftables.Element{Set: "self", Key: []string{address.String(), address.String()}})
	}
	tx.Add(&knftables.Chain{
		Name:     "forward",
		Type:     knftables.PtrTo(knftables.FilterType),
		Hook:     knftables.PtrTo(knftables.ForwardHook),
		Priority: knftables.PtrTo(knftables.FilterPriority),
	})
	for _, rule := range []string{
		"ct state established ct direction reply accept",
		"ct state related accept",
		"ip saddr . ip daddr @self accept", // a pod that meets itself behind a Service
		"ip saddr " + t.pods.String() + " jump egress",
		"ip daddr " + t.pods.String() + " jump ingress",
	} {
		tx.Add(&knftables.Rule{Chain: "forward", Rule: rule})
	}
}

// otherEnd is the address that a list of each direction looks at.
var otherEnd = map[string]string{"ingress": "saddr", "egress": "daddr"}

// direction sends each local pod's packets to its list. Unknown pods' are
// dropped.
func direction(tx *knftables.Transaction, name, own string, lists map[netip.Addr]string) {
	tx.Add(&knftables.Map{Name: name + "-pods", Type: "ipv4_addr : verdict"})
	for _, address := range sortedAddresses(lists) {
		verdict := "return"
		if list := lists[address]; list != "" {
			verdict = "goto " + list
		}
		tx.Add(&knftables.Element{Map: name + "-pods", Key: []string{address.String()}, Value: []string{verdict}})
	}
	tx.Add(&knftables.Chain{Name: name})
	tx.Add(&knftables.Rule{Chain: name, Rule: "ip " + own + " vmap @" + name + "-pods"})
	tx.Add(&knftables.Rule{Chain: name, Rule: "drop"})
}

// match is an Allow as nftables' conditions, with a space after each.
func match(allow Allow, end string) string {
	var text strings.Builder
	if allow.Peer.Set != "" {
		fmt.Fprintf(&text, "ip %s @%s ", end, allow.Peer.Set)
	}
	if allow.Peer.Block.IsValid() && allow.Peer.Block.Bits() > 0 {
		fmt.Fprintf(&text, "ip %s %s ", end, allow.Peer.Block)
	}
	for _, except := range allow.Peer.Except {
		fmt.Fprintf(&text, "ip %s != %s ", end, except)
	}
	protocol := strings.ToLower(string(allow.Ports.Protocol))
	switch {
	case protocol == "":
	case len(allow.Ports.Ranges) == 0:
		fmt.Fprintf(&text, "meta l4proto %s ", protocol)
	default:
		ranges := make([]string, 0, len(allow.Ports.Ranges))
		for _, one := range allow.Ports.Ranges {
			if one.First == one.Last {
				ranges = append(ranges, fmt.Sprint(one.First))
			} else {
				ranges = append(ranges, fmt.Sprintf("%d-%d", one.First, one.Last))
			}
		}
		fmt.Fprintf(&text, "%s dport { %s } ", protocol, strings.Join(ranges, ", "))
	}
	return text.String()
}

func sortedAddresses(lists map[netip.Addr]string) []netip.Addr {
	return slices.SortedFunc(maps.Keys(lists), netip.Addr.Compare)
}
