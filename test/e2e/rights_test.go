//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/e2e/rights"
)

// ofRunningOperator counts the requests of the operator's pods that run now.
func (c *cluster) ofRunningOperator(ctx context.Context) (func(rights.Request) bool, error) {
	var pods corev1.PodList
	err := c.List(ctx, &pods, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/name": operatorName})
	return func(request rights.Request) bool {
		return slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool {
			return pod.DeletionTimestamp.IsZero() && slices.Contains(request.SourceIPs, pod.Status.PodIP) &&
				request.RequestReceived.After(pod.CreationTimestamp.Time)
		})
	}, err
}

// impliedRights are needed without a request of their own: an admission plugin asks for them while it looks at another one. TestImpliedRights
// shows it.
var impliedRights = map[string]string{
	"update wechatendpoints/finalizers.wechatendpoint.io": "OwnerReferencesPermissionEnforcement, for blockOwnerDeletion of the children",
	"update wechatgateways/finalizers.wechatendpoint.io":  "likewise",
	"delete secrets": "OwnerReferencesPermissionEnforcement, where an object that lost its owner gets it back; the admission policy lets none be deleted",
}

// absences are the times in which the tests took the operator's roles away, under its feet.
var absences struct {
	sync.Mutex
	begin, end []time.Time
}

// rolesGone says that the operator loses its roles now, and rolesBack that it has them again.
func rolesGone() {
	absences.Lock()
	defer absences.Unlock()
	absences.begin = append(absences.begin, time.Now())
}

func rolesBack() {
	absences.Lock()
	defer absences.Unlock()
	absences.end = append(absences.end, time.Now())
}

func whileRolesWereThere(request rights.Request) bool {
	absences.Lock()
	defer absences.Unlock()
	for i, begin := range absences.begin {
		if request.RequestReceived.After(begin) && (i >= len(absences.end) || request.RequestReceived.Before(absences.end[i])) {
			return false
		}
	}
	return true
}

// auditable reports whether this run shows what the operator needs: on the local cluster, with all tests. Those that take long use no right that the
// others do not.
func auditable() bool {
	filter := flag.Lookup("test.run").Value.String()
	return kube.local && (filter == "" || filter == ".") && flag.Lookup("test.skip").Value.String() == ""
}

// checkRights fails if the operator's roles allow what it never did in all the tests, or forbid what it tried.
func (c *cluster) checkRights(ctx context.Context) error {
	found, err := c.compareRights(ctx, whileRolesWereThere)
	if err != nil {
		return err
	}
	found.Unused = slices.DeleteFunc(found.Unused, func(grant string) bool { return impliedRights[grant] != "" })
	var errs []error
	for what, list := range map[string][]string{
		"it may, and never did": found.Unused, "it tried, and was refused": found.Refused, "it did, and not by its own roles": found.Stray,
	} {
		if len(list) > 0 {
			errs = append(errs, fmt.Errorf("the operator's rights: %s:\n  %s", what, strings.Join(list, "\n  ")))
		}
	}
	return errors.Join(errs...)
}

// compareRights compares the roles as they are installed with what the operator did in this run, as far as it counts.
func (c *cluster) compareRights(ctx context.Context, counts func(rights.Request) bool) (rights.Findings, error) {
	grants, err := c.grants(ctx)
	if err != nil {
		return rights.Findings{}, err
	}
	requests, err := c.operatorRequests(ctx, counts)
	if err != nil {
		return rights.Findings{}, err
	}
	return rights.Compare(grants, requests), nil
}

// grants are those of every role that the chart has for the operator. One for the whole cluster there may not be.
func (c *cluster) grants(ctx context.Context) ([]rights.Grant, error) {
	var wide rbacv1.ClusterRole
	var roles rbacv1.RoleList
	err := errors.Join(
		client.IgnoreNotFound(c.Get(ctx, client.ObjectKey{Name: operatorName}, &wide)),
		c.List(ctx, &roles, ofRelease))
	if err != nil {
		return nil, fmt.Errorf("reading the operator's roles: %w", err)
	}
	grants := rights.Grants("", wide.Rules)
	for _, role := range roles.Items {
		grants = append(grants, rights.Grants(role.Namespace, role.Rules)...)
	}
	return grants, nil
}

// began is when this run of the tests did: the log may hold an earlier one.
var began = time.Now()

// operatorRequests are those of the operator itself that count, and not those of a thief that a test plays.
func (c *cluster) operatorRequests(ctx context.Context, counts func(rights.Request) bool) ([]rights.Request, error) {
	path, err := call(ctx, "../cluster/cluster", "audit")
	if err != nil {
		return nil, err
	}
	log, err := os.Open(strings.TrimSpace(path))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	requests, err := rights.ReadRequests(log)
	if err == nil && len(requests) == 0 {
		err = errors.New("the audit log has no request of the operator: does its policy name another identity?")
	}
	return slices.DeleteFunc(requests, func(r rights.Request) bool {
		return r.RequestReceived.Before(began) || r.UserAgent == thief || !counts(r) ||
			strings.Contains(r.ResponseStatus.Message, "because it is being terminated") ||
			strings.Contains(r.ResponseStatus.Message, "ValidatingAdmissionPolicy 'wechatendpoint-operator-spec'") || // by an API server that has not seen the newest spec
			strings.Contains(r.ResponseStatus.Message, "because cannot find RESTMapping") // yet, by an API server that a test has restarted
	}), err
}

// TestRights looks at what the operator did so far: that nothing was refused, and that it needs no more than its roles. What
// it never did shows only at the end of all tests, where TestMain looks for it.
func TestRights(t *testing.T) {
	if !kube.local {
		t.Skip("only the local cluster keeps an audit log")
	}
	t.Parallel()
	s := newStage(t, "rights")
	s.serve(t)
	found, err := kube.compareRights(t.Context(), whileRolesWereThere)
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range append(found.Refused, found.Stray...) {
		t.Error(finding)
	}
	t.Logf("not used so far: %v", found.Unused)
}

// TestImpliedRights shows two rights that an admission plugin asks for and that no audit log shows. Without the first, the API server refuses a child
// whose owner waits for its deletion. Without the second, it does not let a child get its owner back.
func TestImpliedRights(t *testing.T) {
	if !kube.local {
		t.Skip("other clusters may not ask for it")
	}
	t.Parallel()
	s := newStage(t, "implied")
	endpoint := s.endpoint(func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = true })
	services := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"create", "patch"}}
	role := &rbacv1.Role{ObjectMeta: s.object("implied"), Rules: []rbacv1.PolicyRule{services}}
	s.create(t, endpoint, role, &rbacv1.RoleBinding{
		ObjectMeta: s.object("implied"),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "implied"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "e2e-implied"}},
	})
	config := rest.CopyConfig(kube.config)
	config.Impersonate.UserName = "e2e-implied"
	lesser, err := client.New(config, client.Options{Scheme: kube.Scheme(), Mapper: kube.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	child := &corev1.Service{ObjectMeta: s.object("child"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	child.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "WeChatEndpoint", Name: endpoint.Name, UID: endpoint.UID, BlockOwnerDeletion: new(true),
	}}
	try := func(ctx context.Context) error { return lesser.Create(ctx, child.DeepCopy(), client.DryRunAll) }
	eventually(t, patience, "a refusal without the right", func(ctx context.Context) error {
		if err := try(ctx); err == nil || !strings.Contains(err.Error(), "cannot set blockOwnerDeletion") {
			return fmt.Errorf("it was answered with %w", err)
		}
		return nil
	})
	role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{"wechatendpoint.io"}, Resources: []string{"wechatendpoints/finalizers"}, Verbs: []string{"update"}})
	if err := kube.Update(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "no refusal with the right", try)

	orphan := &corev1.Service{ObjectMeta: s.object("orphan"), Spec: child.Spec}
	s.create(t, orphan)
	owned := orphan.DeepCopy()
	owned.OwnerReferences = child.OwnerReferences
	adopt := func(ctx context.Context) error {
		return lesser.Patch(ctx, owned.DeepCopy(), client.MergeFrom(orphan), client.DryRunAll)
	}
	if err := adopt(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot set an ownerRef on a resource you can't delete") {
		t.Errorf("without the right to delete it, an orphan is adopted: %v", err)
	}
	role.Rules[0].Verbs = append(role.Rules[0].Verbs, "delete")
	if err := kube.Update(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "an orphan to be adopted with the right", adopt)
}
