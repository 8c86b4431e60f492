//go:build browser

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// apiServer answers the few requests of the plugin as an API server does: which resources there are, one object, a list, and a forwarded
// port. What it lacks of a real one (storage, admission, RBAC) the end-to-end tests have.
type apiServer struct {
	t *testing.T
	// objects are the items of each resource, as NAMESPACE/NAME.
	objects map[string]map[string]any
	// denied are the resources that nobody may read when he is impersonated as reader.
	denied []string
	// pods is the handler of port 8081 of every pod, by the pod's name.
	pods func(pod string) http.Handler

	mu       sync.Mutex
	forwards int
}

var resources = map[string][]metav1.APIResource{
	"v1": {{Name: "pods", Kind: "Pod", Namespaced: true}, {Name: "secrets", Kind: "Secret", Namespaced: true}},
	"wechatendpoint.io/v1alpha1": {{Name: "wechatendpoints", Kind: "WeChatEndpoint", Namespaced: true},
		{Name: "wechatgateways", Kind: "WeChatGateway", Namespaced: true}},
	"networking.k8s.io/v1": {{Name: "ingresses", Kind: "Ingress", Namespaced: true}},
}

// kubeconfig serves, and returns the file that leads there.
func (a *apiServer) kubeconfig() string {
	server := httptest.NewServer(a)
	a.t.Cleanup(server.Close)
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", Namespace: "shop"}
	config.CurrentContext = "test"
	path := filepath.Join(a.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/api":
		answer(w, 200, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		answer(w, 200, groups())
	case parts[0] == "api" && len(parts) == 2:
		answer(w, 200, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: "v1", APIResources: resources["v1"]})
	case parts[0] == "apis" && len(parts) == 3:
		version := parts[1] + "/" + parts[2]
		answer(w, 200, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: version, APIResources: resources[version]})
	case parts[0] == "api":
		a.object(w, r, parts[2:], "v1")
	case parts[0] == "apis":
		a.object(w, r, parts[3:], parts[1]+"/"+parts[2])
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func groups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for version := range resources {
		if group, name, has := strings.Cut(version, "/"); has {
			v := metav1.GroupVersionForDiscovery{GroupVersion: version, Version: name}
			list.Groups = append(list.Groups, metav1.APIGroup{Name: group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		}
	}
	return list
}

// object answers for what the rest of the path names: RESOURCE, or namespaces/NAMESPACE/RESOURCE[/NAME[/SUBRESOURCE]].
func (a *apiServer) object(w http.ResponseWriter, r *http.Request, path []string, version string) {
	namespace := ""
	if len(path) > 2 && path[0] == "namespaces" {
		namespace, path = path[1], path[2:]
	}
	resource := strings.Join(append(path[:1:1], path[min(len(path), 2):]...), "/")
	if r.Header.Get("Impersonate-User") == "reader" && slices.Contains(a.denied, resource) {
		refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, resource+" is forbidden")
		return
	}
	switch len(path) {
	case 1:
		items := []any{}
		for key, item := range a.objects[resource] {
			if (namespace == "" || strings.HasPrefix(key, namespace+"/")) && selected(item, r.URL.Query().Get("labelSelector")) {
				items = append(items, item)
			}
		}
		slices.SortFunc(items, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		answer(w, 200, map[string]any{"kind": kindOf(resource, version) + "List", "apiVersion": version, "metadata": map[string]any{}, "items": items})
	case 2:
		item, found := a.objects[resource][namespace+"/"+path[1]]
		if !found {
			refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, path[1]+" not found")
			return
		}
		answer(w, 200, item)
	default:
		a.forward(w, r, path[1])
	}
}

func kindOf(resource, version string) string {
	i := slices.IndexFunc(resources[version], func(r metav1.APIResource) bool { return r.Name == resource })
	return resources[version][i].Kind
}

// selected reports whether an item has the labels of an equality selector.
func selected(item any, selector string) bool {
	data, _ := json.Marshal(item)
	var object metav1.PartialObjectMetadata
	_ = json.Unmarshal(data, &object)
	for requirement := range strings.SplitSeq(selector, ",") {
		if name, value, has := strings.Cut(requirement, "="); has && object.Labels[name] != value {
			return false
		}
	}
	return true
}

// forward serves the port of a pod over SPDY. An upgrade to websockets is refused, as older API servers do.
func (a *apiServer) forward(w http.ResponseWriter, r *http.Request, pod string) {
	if r.Method != http.MethodPost {
		http.Error(w, "unable to upgrade", http.StatusForbidden)
		return
	}
	a.mu.Lock()
	a.forwards++
	a.mu.Unlock()
	w.Header().Set(httpstream.HeaderProtocolVersion, "portforward.k8s.io")
	data := make(chan httpstream.Stream, 1)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeData && stream.Headers().Get(corev1.PortHeader) == "8081" {
			data <- stream
		}
		return nil
	})
	if conn == nil {
		return
	}
	defer conn.Close()
	select {
	case stream := <-data:
		local, remote := net.Pipe()
		server := &http.Server{Handler: a.pods(pod)}
		listener := &once{conn: remote, done: make(chan struct{})}
		go func() { _ = server.Serve(listener) }()
		go func() { _, _ = io.Copy(local, stream); _ = local.Close() }()
		_, _ = io.Copy(stream, local)
		close(listener.done)
		_ = server.Close()
	case <-conn.CloseChan():
	}
}

// once is a listener that accepts one connection.
type once struct {
	conn net.Conn
	done chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *once) Close() error   { return nil }
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, status int, reason metav1.StatusReason, message string) {
	answer(w, status, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: reason, Message: message, Code: int32(status)})
}
