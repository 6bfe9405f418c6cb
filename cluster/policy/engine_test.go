package policy

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/knftables"
)

// guarded is a fake of nftables that a test can read while an engine writes,
// and that can refuse.
type guarded struct {
	*knftables.Fake
	mutex    sync.Mutex
	refusals int
	runs     int
}

func (g *guarded) Run(ctx context.Context, tx *knftables.Transaction) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.runs++
	if g.refusals > 0 {
		g.refusals--
		return context.DeadlineExceeded
	}
	return g.Fake.Run(ctx, tx)
}

func (g *guarded) List(ctx context.Context, kind string) ([]string, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.Fake.List(ctx, kind)
}

func (g *guarded) has(text string) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return strings.Contains(g.Dump(), text)
}

func (g *guarded) written() int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.runs
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// started runs an engine on shop/web and a fake API server until the test ends.
func started(t *testing.T, nft *guarded) *fake.Clientset {
	t.Helper()
	client := fake.NewClientset(testPods()[0], &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	engine, err := NewEngine(client, here, NewTable(nft, podsHere))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the engine ended with %v", err)
		}
	})
	return client
}

const (
	webIsOpen   = "egress-pods { 10.9.1.1 : return }"
	webIsClosed = "ingress-pods { 10.9.1.1 : goto ingress-"
)

func newFake() *guarded {
	return &guarded{Fake: knftables.NewFake(knftables.IPv4Family, tableName)}
}

// Policies that come and go are followed.
func TestEngineFollowsPolicies(t *testing.T) {
	ctx, nft := context.Background(), newFake()
	client := started(t, nft)
	eventually(t, "the pod is known", func() bool { return nft.has(webIsOpen) })
	policies := client.NetworkingV1().NetworkPolicies("shop")

	deny := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "deny"}}
	if _, err := policies.Create(ctx, deny, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is isolated", func() bool { return nft.has(webIsClosed) })

	if err := policies.Delete(ctx, "deny", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is open again", func() bool { return !nft.has(webIsClosed) })
}

// A table that could not be written is tried again.
func TestEngineTriesAgain(t *testing.T) {
	nft := newFake()
	if err := NewTable(nft, podsHere).Replace(context.Background(), Rules{}); err != nil {
		t.Fatal(err)
	}
	nft.refusals = 2
	started(t, nft)

	eventually(t, "the pod is known after two refusals", func() bool { return nft.has(webIsOpen) })
}

// What an engine wrote holds when it has ended, and its successor does not
// close the node off for a moment.
func TestRulesOutliveTheEngine(t *testing.T) {
	nft := newFake()
	t.Run("first", func(t *testing.T) {
		started(t, nft)
		eventually(t, "the pod is known", func() bool { return nft.has(webIsOpen) })
	})

	if !nft.has(webIsOpen) {
		t.Error("nothing holds any more")
	}
	nft.refusals = 1 << 30 // the successor, whatever it asks
	started(t, nft)
	if !nft.has(webIsOpen) {
		t.Error("the successor closed the pod off")
	}
}

// Changes that policies are not about are not written.
func TestEngineWritesOnlyChanges(t *testing.T) {
	ctx, nft := context.Background(), newFake()
	client := started(t, nft)
	eventually(t, "the pod is known", func() bool { return nft.has(webIsOpen) })
	written := nft.written()

	pod := testPods()[0]
	pod.Annotations = map[string]string{"seen": "yes"}
	if _, err := client.CoreV1().Pods("shop").Update(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * gather)

	if more := nft.written() - written; more != 0 {
		t.Errorf("written %d times more", more)
	}
}
