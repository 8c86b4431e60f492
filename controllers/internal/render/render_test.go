// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is an endpoint as the API server would store it.
func example() Input {
	return Input{
		BackendURL: "http://shop-app.team-a.svc:8080", Token: "golden-token", Counter: 3,
		Image: "example.com/sidecar:1", PullPolicy: "IfNotPresent",
		Endpoint: &v1alpha1.WeChatEndpoint{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "shop", UID: "0f7c"},
			Spec: v1alpha1.WeChatEndpointSpec{
				Platform: v1alpha1.PlatformOfficialAccount, AppID: "wx5823bf96d3bd56c7", MessageMode: v1alpha1.MessageModePlaintext,
				Credentials: v1alpha1.CredentialsReference{SecretName: "shop-wechat"},
				URL:         v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/weixin", Exposure: v1alpha1.ExposureIngress},
				Backend:     v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "shop-app", Port: intstr.FromInt32(8080)}},
			},
		},
	}
}

// TestGolden compares all children of an endpoint with a file: testdata/CASE.yaml. Read the difference, and run
// `go test ./controllers/internal/render -update` if it is meant.
func TestGolden(t *testing.T) {
	for name, edit := range map[string]func(*v1alpha1.WeChatEndpoint){
		"minimal": func(*v1alpha1.WeChatEndpoint) {},
		"everything": func(e *v1alpha1.WeChatEndpoint) {
			e.Spec.URL.Ingress = &v1alpha1.IngressExposure{
				ClassName: "traefik", TLSSecretName: "wx-tls", Annotations: map[string]string{"cert-manager.io/issuer": "le"},
			}
			e.Spec.Backend.Path = "/callback/"
			e.Spec.Backend.Deadline = &metav1.Duration{Duration: 2 * time.Second}
			e.Spec.Verification.Freshness = &metav1.Duration{Duration: time.Minute}
			e.Spec.Sidecar.Replicas = new(int32(5))
			e.Spec.Sidecar.Resources = &corev1.ResourceRequirements{
				Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000m"), corev1.ResourceMemory: resource.MustParse("131072Ki")},
			}
		},
		"not-published": func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Exposure = v1alpha1.ExposureNone },
		"bare-address":  func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Host = "" },
	} {
		t.Run(name, func(t *testing.T) {
			in := example()
			edit(in.Endpoint)
			got := renderYAML(t, in)
			path := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a file for everybody to read
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("rendered otherwise than %s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func renderYAML(t *testing.T, in Input) []byte {
	t.Helper()
	objects, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, child := range objects.Children {
		text, err := yaml.Marshal(child)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes()
}

func TestGenerationFollowsWhatIsServedAndNothingElse(t *testing.T) {
	base := generation(t, example())
	for name, test := range map[string]struct {
		edit    func(*Input)
		changes bool
	}{
		"another path":                  {func(in *Input) { in.Endpoint.Spec.URL.Path = "/other" }, true},
		"another backend":               {func(in *Input) { in.BackendURL = "http://other.team-a.svc:80" }, true},
		"changed credentials":           {func(in *Input) { in.Counter = 4 }, true},
		"more replicas":                 {func(in *Input) { in.Endpoint.Spec.Sidecar.Replicas = new(int32(9)) }, false},
		"another image":                 {func(in *Input) { in.Image = "example.com/sidecar:2" }, false},
		"another token, the same count": {func(in *Input) { in.Token = "another-token" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := example()
			test.edit(&in)
			if changed := generation(t, in) != base; changed != test.changes {
				t.Errorf("changed: %v, want %v", changed, test.changes)
			}
		})
	}
}

func generation(t *testing.T, in Input) string {
	t.Helper()
	objects, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return objects.Generation
}

func TestTokenStandsInTheSecretOnly(t *testing.T) {
	in := example()
	in.Token = "printable-token"
	objects, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range objects.Children {
		text, err := yaml.Marshal(child)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), in.Token) {
			t.Errorf("the token stands in clear in:\n%s", text)
		}
	}
}

func TestWhatTheSidecarWouldRefuseIsNotRendered(t *testing.T) {
	in := example()
	in.Token = "white space at the end\n"
	if _, err := Make(in); err == nil || strings.Contains(err.Error(), "white space at the end\n") {
		t.Errorf("error %v; want one that does not quote the token", err)
	}
}
