// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

func TestATooOldClusterIsRefused(t *testing.T) {
	for version, refused := range map[string]bool{
		"v1.32.9": true, "v1.9.0": true, "v1.32.1-gke.1000": true, "v1.33.0": false, "v1.36.2+k3s1": false, "v2.0.0": false, "unknown": false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"gitVersion":"` + version + `"}`))
		}))
		err := checkCluster(&rest.Config{Host: server.URL})
		server.Close()
		if refused && (err == nil || !strings.Contains(err.Error(), "the cluster is Kubernetes "+version) || !strings.Contains(err.Error(), "upgrade it to 1.33 or newer")) {
			t.Errorf("of %s it says %v", version, err)
		}
		if !refused && err != nil {
			t.Errorf("%s is refused: %v", version, err)
		}
	}
	if err := checkCluster(&rest.Config{Host: "http://127.0.0.1:1"}); err != nil {
		t.Errorf("a cluster that does not answer is too old: %v", err)
	}
}

func TestTheChartAsksForTheSameVersion(t *testing.T) {
	text, err := os.ReadFile("../../charts/wechat-endpoint/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := `kubeVersion: ">=` + oldestKubernetes + `-0"`; !strings.Contains(string(text), want) {
		t.Errorf("the chart has no %s", want)
	}
}
