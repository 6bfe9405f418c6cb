package policy

import (
	"context"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"
)

var hashes = regexp.MustCompile(`-[0-9a-f]{20}`)

var podsHere = netip.MustParsePrefix("10.9.1.0/24")

// The whole table as nftables is told it: replies pass, each direction has its
// say, what is not allowed is dropped; and writing it again replaces it.
func TestTableSaysTheRules(t *testing.T) {
	ctx := context.Background()
	nft := knftables.NewFake(knftables.IPv4Family, tableName)
	table := NewTable(nft, podsHere)
	cluster := world(t, `{podSelector: {matchLabels: {app: web}}, ingress: [
		{from: [{podSelector: {}}], ports: [{port: http}, {port: 9000, endPort: 9010}]},
		{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}], ports: [{protocol: UDP}]}]}`)

	for range 2 {
		if err := table.Replace(ctx, Compute(cluster, here)); err != nil {
			t.Fatal(err)
		}
	}

	var told []string
	for line := range strings.Lines(nft.Dump()) {
		line = strings.ReplaceAll(strings.TrimSpace(line), " ip "+tableName, "")
		told = append(told, hashes.ReplaceAllString(line, "-X"))
	}
	want := []string{
		`add table { comment "NetworkPolicies of this node's pods" ; }`,
		"add chain egress",
		"add chain forward { type filter hook forward priority 0 ; }",
		"add chain ingress",
		"add chain ingress-X",
		"add set peers-X { type ipv4_addr ; }",
		"add set self { type ipv4_addr . ipv4_addr ; }",
		"add map egress-pods { type ipv4_addr : verdict ; }",
		"add map ingress-pods { type ipv4_addr : verdict ; }",
		"add rule egress ip saddr vmap @egress-pods",
		"add rule egress drop",
		"add rule forward ct state established ct direction reply accept",
		"add rule forward ct state related accept",
		"add rule forward ip saddr . ip daddr @self accept",
		"add rule forward ip saddr 10.9.1.0/24 jump egress",
		"add rule forward ip daddr 10.9.1.0/24 jump ingress",
		"add rule ingress ip daddr vmap @ingress-pods",
		"add rule ingress drop",
		"add rule ingress-X ip saddr @peers-X tcp dport { 8080, 9000-9010 } return",
		"add rule ingress-X ip saddr 192.0.2.0/24 ip saddr != 192.0.2.128/25 meta l4proto udp return",
		"add rule ingress-X drop",
		"add element peers-X { 10.9.1.1 }",
		"add element peers-X { 10.9.1.2 }",
		"add element peers-X { 10.9.2.1 }",
		"add element self { 10.9.1.1 . 10.9.1.1 }",
		"add element self { 10.9.1.2 . 10.9.1.2 }",
		"add element egress-pods { 10.9.1.1 : return }",
		"add element egress-pods { 10.9.1.2 : return }",
		"add element ingress-pods { 10.9.1.1 : goto ingress-X }",
		"add element ingress-pods { 10.9.1.2 : return }",
	}
	if got := strings.Join(told, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("told:\n%s", got)
	}
}

// Without rules, as when the engine starts on a new node, no pod gets anything
// through.
func TestUnknownPodsAreClosedOff(t *testing.T) {
	ctx := context.Background()
	nft := knftables.NewFake(knftables.IPv4Family, tableName)
	table := NewTable(nft, podsHere)

	if there, err := table.Exists(ctx); there || err != nil {
		t.Fatalf("a table is there (%t) before one was made, error %v", there, err)
	}
	if err := table.Replace(ctx, Rules{}); err != nil {
		t.Fatal(err)
	}

	if there, err := table.Exists(ctx); !there || err != nil {
		t.Errorf("no table is there, error %v", err)
	}
	dump := nft.Dump()
	for _, rule := range []string{"egress drop", "ingress drop"} {
		if !strings.Contains(dump, "add rule ip "+tableName+" "+rule+"\n") {
			t.Errorf("no %q in\n%s", rule, dump)
		}
	}
	if strings.Contains(dump, "add element") {
		t.Errorf("somebody is known:\n%s", dump)
	}
}
