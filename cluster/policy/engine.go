package policy

import (
	"context"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// gather is how long changes are gathered before they are written: several
	// often come at once, as a Deployment's pods do.
	gather = 20 * time.Millisecond
	// rewrite is how often the table is written though nothing has changed, in
	// case somebody else changed it.
	rewrite = 2 * time.Minute
	// retryFirst, doubled at each failure up to retryLast, passes before a
	// table that could not be written is tried again.
	retryFirst, retryLast = 100 * time.Millisecond, 5 * time.Second
)

// Engine keeps a node's table as the API server says.
type Engine struct {
	node       string
	table      *Table
	changed    chan struct{} // holds one item when something may have changed
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
	factory    informers.SharedInformerFactory
}

// NewEngine makes the engine of a node; it does nothing before Run.
func NewEngine(client kubernetes.Interface, node string, table *Table) (*Engine, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	e := &Engine{
		node:       node,
		table:      table,
		changed:    make(chan struct{}, 1),
		pods:       factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
		factory:    factory,
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { e.notify() },
			UpdateFunc: func(any, any) { e.notify() },
			DeleteFunc: func(any) { e.notify() },
		}); err != nil {
			return nil, fmt.Errorf("watching the cluster: %w", err)
		}
	}
	return e, nil
}

// notify says that something may have changed; it never waits.
func (e *Engine) notify() {
	select {
	case e.changed <- struct{}{}:
	default: // said already
	}
}

// Run closes the node's pods off if no table is there yet, and keeps the table
// up to date from when the API server has told everything. It ends with the
// context and leaves the table as it is: what held keeps holding.
func (e *Engine) Run(ctx context.Context) error {
	there, err := e.table.Exists(ctx)
	if err != nil {
		return fmt.Errorf("reading nftables: %w", err)
	}
	if !there {
		if err := e.table.Replace(ctx, Rules{}); err != nil {
			return fmt.Errorf("closing the node's pods off: %w", err)
		}
	}
	e.factory.Start(ctx.Done())
	e.factory.WaitForCacheSync(ctx.Done())
	e.notify()
	e.follow(ctx) // which returns at once if the context ended the waiting
	return nil
}

// follow writes the table whenever the rules have changed.
func (e *Engine) follow(ctx context.Context) {
	var written *Rules
	retry := retryFirst
	for ctx.Err() == nil {
		due := time.NewTimer(rewrite)
		select {
		case <-ctx.Done():
			return
		case <-due.C:
			written = nil
		case <-e.changed:
			due.Stop()
			if !pause(ctx, gather) {
				return
			}
		}
		rules, err := e.write(ctx, written)
		if err != nil {
			klog.ErrorS(err, "Policies could not be written; what was written before keeps holding", "retryAfter", retry)
			if !pause(ctx, retry) {
				return
			}
			retry = min(2*retry, retryLast)
			e.notify()
			continue
		}
		written, retry = rules, retryFirst
	}
}

// write brings the table up to date, if it isn't: written is what it holds,
// nil if that isn't known.
func (e *Engine) write(ctx context.Context, written *Rules) (*Rules, error) {
	select { // what comes from here on may be missed below
	case <-e.changed:
	default:
	}
	start := time.Now()
	cluster, err := e.cluster()
	if err != nil {
		return nil, err
	}
	rules := Compute(cluster, e.node)
	if written != nil && reflect.DeepEqual(*written, rules) {
		return written, nil
	}
	computed := time.Since(start)
	if err := e.table.Replace(ctx, rules); err != nil {
		return nil, err
	}
	klog.InfoS("Policies written", "policies", len(cluster.Policies), "pods", len(rules.Ingress),
		"lists", len(rules.Lists), "sets", len(rules.Sets),
		"computedMs", computed.Milliseconds(), "totalMs", time.Since(start).Milliseconds())
	return &rules, nil
}

// cluster reads what the informers know.
func (e *Engine) cluster() (Cluster, error) {
	pods, err := e.pods.List(labels.Everything())
	if err != nil {
		return Cluster{}, fmt.Errorf("reading pods: %w", err)
	}
	namespaces, err := e.namespaces.List(labels.Everything())
	if err != nil {
		return Cluster{}, fmt.Errorf("reading namespaces: %w", err)
	}
	policies, err := e.policies.List(labels.Everything())
	if err != nil {
		return Cluster{}, fmt.Errorf("reading policies: %w", err)
	}
	return Cluster{Pods: pods, Namespaces: namespaces, Policies: policies}, nil
}

// slim keeps of what the API server sends only what Compute reads.
func slim(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
		accessor.SetAnnotations(nil)
		accessor.SetOwnerReferences(nil)
	}
	if one, is := object.(*corev1.Pod); is {
		one.Spec = corev1.PodSpec{
			NodeName:       one.Spec.NodeName,
			HostNetwork:    one.Spec.HostNetwork,
			Containers:     onlyPorts(one.Spec.Containers),
			InitContainers: onlyPorts(one.Spec.InitContainers),
		}
		one.Status = corev1.PodStatus{Phase: one.Status.Phase, PodIP: one.Status.PodIP, PodIPs: one.Status.PodIPs}
	}
	return object, nil
}

func onlyPorts(containers []corev1.Container) []corev1.Container {
	slimmed := make([]corev1.Container, len(containers))
	for i, one := range containers {
		slimmed[i] = corev1.Container{Name: one.Name, Ports: one.Ports, RestartPolicy: one.RestartPolicy}
	}
	return slimmed
}

// pause waits that long; false if the context ended first.
func pause(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
