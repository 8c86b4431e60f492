// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

var shopFlags = []string{"init", "shop", "--platform", "OfficialAccount", "--app-id", "wx1", "--mode", "Encrypted", "--host", "wx.example.com", "--path", "/weixin", "--service", "app", "--port", "8080"}

// read reads a manifest.
func read(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%v:\n%s", err, data)
	}
}

func TestInitWritesManifests(t *testing.T) {
	folder := t.TempDir()
	got := run(t, noCluster(t), "", append(shopFlags, "--dir", folder, "--ingress-class", "nginx", "--tls-secret", "wx-tls", "-n", "team-a")...)
	got.check(t, StatusOK, "wrote     "+filepath.Join(folder, "shop-secret.yaml"), "ok: apply them: kubectl apply -f ")
	var secret corev1.Secret
	read(t, filepath.Join(folder, "shop-secret.yaml"), &secret)
	if config.ValidateToken(secret.StringData["token"]) != nil || config.ValidateEncodingAESKey(secret.StringData["encodingAESKey"]) != nil || secret.Labels[v1alpha1.LabelCredentials] != "true" {
		t.Error("the Secret is none that the operator takes")
	}
	if strings.Contains(got.out+got.errout, secret.StringData["token"]) || strings.Contains(got.out+got.errout, secret.StringData["encodingAESKey"]) {
		t.Error("a value is shown")
	}
	if info, err := os.Stat(filepath.Join(folder, "shop-secret.yaml")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the Secret: %v %v", info.Mode(), err)
	}
	var endpoint v1alpha1.WeChatEndpoint
	read(t, filepath.Join(folder, "shop.yaml"), &endpoint)
	if endpoint.Namespace != "team-a" || endpoint.Spec.Credentials.SecretName != secret.Name || endpoint.Spec.URL.Ingress.TLSSecretName != "wx-tls" || endpoint.Spec.Backend.Service.Port.IntValue() != 8080 {
		t.Errorf("%+v", endpoint)
	}
	again := run(t, noCluster(t), "", append(shopFlags, "--dir", folder)...)
	again.check(t, StatusUsage, "there is such a file already, which is left as it is")
}

func TestInitAsksForWhatNoFlagSays(t *testing.T) {
	folder := t.TempDir()
	got := run(t, noCluster(t), "shop\n\nwx1\nPlaintext\nwx.example.com\n\napp\n\n", "init", "--dir", folder)
	got.check(t, StatusOK, "the endpoint's name: ", "[OfficialAccount]: ", "the path of the URL [/weixin]: ", "its port [8080]: ")
	var secret corev1.Secret
	read(t, filepath.Join(folder, "shop-secret.yaml"), &secret)
	if len(secret.StringData) != 1 {
		t.Errorf("in plaintext mode the Secret has %d values", len(secret.StringData))
	}
	run(t, noCluster(t), "shop\n\nwx1\n", "init", "--dir", t.TempDir(), "--lang", "zh").check(t, StatusUsage, "平台：", "没有人回答：请给出 --host")
}

func TestInitRefusesWhatCannotBe(t *testing.T) {
	for words, args := range map[string][]string{
		"name an endpoint":                                {"init"},
		"nobody answers: pass --platform":                 {"init", "shop"},
		"--name cannot be that":                           {"init", "Shop"},
		"--platform cannot be that":                       {"init", "shop", "--platform", "QQ"},
		"--mode is for OfficialAccount and MiniProgram":   {"init", "shop", "--platform", "Shop", "--mode", "Plaintext"},
		"--host cannot be that":                           append(append([]string{}, shopFlags...), "--host", "https://wx.example.com"),
		"nobody answers: pass --app-id":                   {"init", "shop", "--platform", "Shop", "--token-file", "-"},
		"the keys of Pay come from the merchant platform": {"init", "pay", "--platform", "Pay", "--app-id", "1900000001", "--host", "wx.example.com", "--path", "/pay", "--service", "app", "--port", "http"},
		"the token in the token file has":                 append(append([]string{}, shopFlags...), "--token-file", file(t, "ab")),
	} {
		want := strings.TrimSuffix(words, " has")
		stdin := ""
		if strings.Contains(strings.Join(args, " "), "--token-file -") {
			stdin = token
		}
		words := want
		if want == "nobody answers: pass --platform" { // its default answers
			words = "nobody answers: pass --app-id"
		}
		run(t, noCluster(t), stdin, append(args, "--dir", t.TempDir())...).check(t, StatusUsage, words)
	}
}

func TestInitAppliesAndLeavesAloneWhatIsThere(t *testing.T) {
	c := fakeOf(t)
	args := append(append([]string{}, shopFlags...), "--apply", "--token-file", file(t, token), "--encoding-aes-key-file", file(t, aesKey))
	got := run(t, connectTo(c), "", args...)
	got.check(t, StatusOK, "made      Secret shop/shop-wechat\n", "made      WeChatEndpoint shop/shop\n", "ok: see what becomes of it: kubectl wechat status shop -n shop\n")
	if strings.Contains(got.out, "note") {
		t.Errorf("values that are not new are called new:\n%s", got.out)
	}
	var endpoint v1alpha1.WeChatEndpoint
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "shop"}, &endpoint); err != nil {
		t.Error(err)
	}
	run(t, connectTo(c), "", args...).check(t, StatusUsage, "there is a WeChatEndpoint shop/shop already, which is left as it is")
	taken := fakeOf(t, endpoint.DeepCopy())
	run(t, connectTo(taken), "", args...).check(t, StatusUsage, "already")
	var secrets corev1.SecretList
	if err := taken.List(t.Context(), &secrets); err != nil || len(secrets.Items) != 0 {
		t.Errorf("a Secret was made that nobody needs: %v", err)
	}
}

func TestInitNamesTheIngressClass(t *testing.T) {
	class := func(name string) *networkingv1.IngressClass {
		return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	standard := class("nginx")
	standard.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
	for name, test := range map[string]struct {
		classes []client.Object
		flags   []string
		want    string // of the endpoint
		refused string
	}{
		"none, and the operator says what is missing":    {},
		"one alone, which is meant":                      {classes: []client.Object{class("traefik")}, want: "traefik"},
		"the cluster's default, which needs no name":     {classes: []client.Object{class("traefik"), standard}},
		"several, of which the caller chooses":           {classes: []client.Object{class("traefik"), class("haproxy")}, refused: "pass --ingress-class, one of haproxy, traefik"},
		"several, of which the caller has chosen":        {classes: []client.Object{class("traefik"), class("haproxy")}, flags: []string{"--ingress-class", "haproxy"}, want: "haproxy"},
		"one, and the caller has chosen what comes soon": {classes: []client.Object{class("traefik")}, flags: []string{"--ingress-class", "soon"}, want: "soon"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeOf(t, test.classes...)
			got := run(t, connectTo(c), "", slices.Concat([]string{"init", "shop", "-n", "shop", "--platform", "Shop", "--app-id", "wx1", "--host", "wx.example.com", "--path", "/shop",
				"--service", "app", "--port", "80", "--apply"}, test.flags)...)
			if test.refused != "" {
				got.check(t, StatusUsage, test.refused)
				return
			}
			got.check(t, StatusOK, "made      WeChatEndpoint shop/shop\n")
			var endpoint v1alpha1.WeChatEndpoint
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "shop"}, &endpoint); err != nil {
				t.Fatal(err)
			}
			named := ""
			if ingress := endpoint.Spec.URL.Ingress; ingress != nil {
				named = ingress.ClassName
			}
			if named != test.want {
				t.Errorf("the class is %q, want %q", named, test.want)
			}
		})
	}
}

// fakeOf is a cluster that can be written.
func fakeOf(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	for _, object := range objects {
		object.SetResourceVersion("")
	}
	c, _, err := cluster(t, objects...)(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.(client.WithWatch)
}

func TestConsoleSaysWhatToEnterWhere(t *testing.T) {
	ready := demo(seen, encrypted(v1alpha1.PlatformOfficialAccount, v1alpha1.MessageModeEncrypted))
	there := cluster(t, ready, labelled(encryptedSecret()))
	run(t, there, "", "console", "demo").check(t, StatusOK, "page      developers.weixin.qq.com/platform → 我的业务 → 公众号 / 服务号", "before    mp.weixin.qq.com → 设置与开发 → 基本配置",
		"enter     URL: https://wx.example.com/weixin\n", "enter     Token: what this prints: kubectl -n shop get secret demo-token", "choose    消息加解密方式: 安全模式\n", "ok: enter them in this order, then press 提交")
	for _, platform := range platforms {
		endpoint := demo(seen, encrypted(platform, ""))
		run(t, cluster(t, endpoint), "", "console", "demo").check(t, StatusOK, "page      ")
	}
	run(t, cluster(t, demo(seen, condition(v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonNotVerified, "pod demo-1 does not answer"))), "", "console", "demo").
		check(t, StatusRefused, "refused: do not press 提交 yet: the endpoint is not ready: Verified: pod demo-1 does not answer", "do: kubectl wechat doctor demo -n shop")
	run(t, noCluster(t), "", "console", "demo", "--reveal").check(t, StatusUsage, "--reveal shows tokens and keys on a terminal only")
}

// TestRevealIsForTerminals: there, and nowhere else, a token is shown.
func TestRevealIsForTerminals(t *testing.T) {
	var out bytes.Buffer
	p := Plugin{Connect: cluster(t, demo(seen), labelled(secret(token))), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, terminal: func(io.Writer) bool { return true }}
	if status := p.Run(t.Context(), []string{"console", "demo", "--reveal"}); status != StatusOK || !strings.Contains(out.String(), "Token: "+token+"\n") {
		t.Errorf("exit status %d:\n%s", status, out.String())
	}
}

const sidecarLog = `{"time":"2026-11-28T08:00:02Z","level":"INFO","msg":"refused a callback","endpoint":"shop/demo","reason":"bad_signature","detail":"x"}
not JSON
{"time":"2026-11-28T08:00:01Z","level":"INFO","msg":"refused a callback","endpoint":"shop/other","reason":"stale","detail":"x"}
{"time":"2026-11-28T08:00:03Z","level":"INFO","msg":"refused a callback","reason":"newer_reason","detail":"what a newer sidecar says"}
{"time":"2026-11-28T08:00:00Z","level":"WARN","msg":"WeChat did not get the app's reply","endpoint":"shop/demo","cause":"it refuses connections","remedy":"see whether its pods run"}
{"time":"2026-11-28T08:00:00Z","level":"INFO","msg":"serving configuration","endpoint":"shop/demo"}
`

// logOf returns what a pod has logged.
func logged(content string, err error) PodLog {
	return func(context.Context, *genericclioptions.ConfigFlags, string, string, string, time.Duration, int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), err
	}
}

func runWith(t *testing.T, p Plugin, args ...string) result {
	t.Helper()
	var out, errout bytes.Buffer
	p.Stdin, p.Stdout, p.Stderr = strings.NewReader(""), &out, &errout
	status := p.Run(t.Context(), args)
	return result{status, out.String(), errout.String()}
}

func TestLogsExplainsRefusals(t *testing.T) {
	there := cluster(t, demo(seen), servingPod("demo-1", true, ofDemo))
	got := runWith(t, Plugin{Connect: there, PodLog: logged(sidecarLog, nil)}, "logs", "demo")
	got.check(t, StatusRefused,
		"2026-11-28T08:00:00Z demo-1 WARN WeChat did not get the app's reply: it refuses connections\n  do: see whether its pods run\n2026-11-28T08:00:02Z demo-1 refused bad_signature: signed with another token",
		"refused newer_reason: what a newer sidecar says\n", "count     bad_signature: 1\n", "count     newer_reason: 1\n")
	if strings.Contains(got.out, "stale") || strings.Contains(got.out, "serving") {
		t.Errorf("it shows what is not the endpoint's, or no complaint:\n%s", got.out)
	}
	runWith(t, Plugin{Connect: there, PodLog: logged("", nil)}, "logs", "demo").check(t, StatusOK, "ok: no callback was refused in the last 1h0m0s")
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "demo-1", errors.New("not you"))
	runWith(t, Plugin{Connect: there, PodLog: logged("", forbidden)}, "logs", "demo").check(t, StatusUsage, "you may not read the log of pod demo-1: ask for the right to get pods/log in namespace shop")
	runWith(t, Plugin{Connect: there, PodLog: logged("", errors.New("the node does not answer"))}, "logs", "demo").check(t, StatusOK, "note      the log of pod demo-1 cannot be read: the node does not answer")
	run(t, cluster(t, demo(seen)), "", "logs", "demo").check(t, StatusUsage, "no pod serves the endpoint: see kubectl wechat status demo -n shop")
}

func TestEachReasonOfTheLogIsExplained(t *testing.T) {
	for _, reason := range wechat.Reasons {
		line := `{"level":"INFO","reason":"` + string(reason) + `","detail":"the sidecar's own words"}`
		got := runWith(t, Plugin{Connect: cluster(t, demo(seen), servingPod("demo-1", true, ofDemo)), PodLog: logged(line, nil)}, "logs", "demo")
		if strings.Contains(got.out, "the sidecar's own words") || !strings.Contains(got.out, "do: ") {
			t.Errorf("%s: %s", reason, got.out)
		}
	}
}

// TestReportHoldsNoSecret: not even where somebody has put one.
func TestReportHoldsNoSecret(t *testing.T) {
	leaky := demo(seen, func(e *v1alpha1.WeChatEndpoint) {
		e.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "x", "note": "the token is " + token}
	})
	happened := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e"}, InvolvedObject: corev1.ObjectReference{Name: "demo"}, Reason: "SecretMalformed", Message: "about demo"}
	there := cluster(t, leaky, labelled(secret(token)), servingPod("demo-1", true, ofDemo), happened)
	path := filepath.Join(t.TempDir(), "report.tar.gz")
	args := []string{"report", "demo", "--address", serve(t, correct), "--file", path}
	runWith(t, Plugin{Connect: there, Version: "v1.2.3", PodLog: logged("a log with "+token+"\n", nil)}, args...).check(t, StatusOK, "holds     endpoint.json\n", "holds     logs/demo-1.txt\n", "ok: wrote "+path)
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v %v", info, err)
	}
	files := unpack(t, path)
	for name, want := range map[string]string{
		"version.txt": "v1.2.3\n", "secret-keys.txt": "token\n", "endpoint.json": `"the token is …"`, "status.json": `"name": "demo-1"`, "doctor.json": `"findings"`,
		"events.json": "about demo", "logs/demo-1.txt": "a log with …\n",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: %q is missing:\n%s", name, want, files[name])
		}
		if strings.Contains(files[name], token) || strings.Contains(files[name], "last-applied") {
			t.Errorf("%s holds what it should not:\n%s", name, files[name])
		}
	}
	runWith(t, Plugin{Connect: there, PodLog: logged("", nil)}, args...).check(t, StatusUsage, "there is such a file already")
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(content)
	}
}
