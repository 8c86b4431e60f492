// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", path, diff)
	}
}

// TestHelp: the help of every command, in both languages. The pages of the documentation are checked against the English one.
func TestHelp(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		all := run(t, noCluster(t), "", "--help", "--lang", lang).out
		for _, one := range (Plugin{}).table(&options{}) {
			all += "\n----\n\n" + run(t, noCluster(t), "", one.name, "--help", "--lang", lang).out
		}
		golden(t, "help-"+lang+".txt", all)
	}
}

// TestEachFlagIsExplainedInBothLanguages: kubectl's own flags, too.
func TestEachFlagIsExplainedInBothLanguages(t *testing.T) {
	english, _ := Plugin{lang: text.English}.commands()
	chinese, _ := Plugin{lang: text.Chinese}.commands()
	flags := 0
	for _, c := range english.Commands() {
		other, _, err := chinese.Find([]string{c.Name()})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(c.Flags().FlagUsages()+c.InheritedFlags().FlagUsages(), "\n") {
			if flags++; line != "" && strings.Contains(other.Flags().FlagUsages()+other.InheritedFlags().FlagUsages(), line+"\n") {
				t.Errorf("kubectl wechat %s: %q is the same in Chinese", c.Name(), line)
			}
		}
	}
	if flags < 50 {
		t.Errorf("only %d flags", flags)
	}
}

func TestTheLanguageIsThatOfTheEnvironmentUnlessAFlagSaysIt(t *testing.T) {
	for _, test := range []struct {
		environment map[string]string
		args        []string
		want        string
	}{
		{nil, nil, "Usage:"},
		{map[string]string{"LANG": "zh_CN.UTF-8"}, nil, "用法："},
		{map[string]string{"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, nil, "Usage:"},
		{map[string]string{"LANG": "C", "LC_MESSAGES": "zh_TW"}, nil, "用法："},
		{map[string]string{"LANG": "zh_CN.UTF-8"}, []string{"--lang", "en"}, "Usage:"},
		{nil, []string{"--lang=zh"}, "用法："},
		{nil, []string{"--lang", "fr"}, "--lang must be en or zh"},
		{map[string]string{"LANG": "zh_CN"}, []string{"--lang"}, "参数 --lang 需要一个值"},
	} {
		var out bytes.Buffer
		p := Plugin{Getenv: func(name string) string { return test.environment[name] }, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
		p.Run(t.Context(), append([]string{"verify", "--help"}, test.args...))
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%v %v: %q is missing:\n%s", test.environment, test.args, test.want, out.String())
		}
	}
}

// TestAnExchangeInChinese: every word but the names, and what another server or the API server said.
func TestAnExchangeInChinese(t *testing.T) {
	address := serve(t, correct)
	run(t, cluster(t, demo(), secret(token)), "", "verify", "demo", "--address", address, "--lang", "zh").check(t, StatusOK,
		"endpoint  shop/demo\n", "发送      GET http://wx.example.com/weixin?signature=…&echostr=", "目标      "+address+"\n",
		"通过： 微信会接受这个 URL，只要后台填写的是Token（来自 Secret shop/demo-token）\n")
	run(t, cluster(t, demo(), secret(token)), "", "send", "demo", "--address", serve(t, answer(`{"ok":true}`)), "--lang", "zh").check(t, StatusRefused,
		"会被拒绝： 微信会给用户显示", "处理： 返回空、success 或被动回复\n")
	run(t, cluster(t), "", "verify", "demo", "--lang", "zh").check(t, StatusUsage, "kubectl wechat verify: 没有 WeChatEndpoint demo（命名空间 shop）")
}

func TestWhatIsMistypedLeadsToWhatWasMeant(t *testing.T) {
	elsewhere := demo(func(e *v1alpha1.WeChatEndpoint) { e.Namespace, e.Name = "other", "pay" })
	there := cluster(t, demo(), elsewhere)
	for words, args := range map[string][]string{
		"kubectl wechat: unknown command: did you mean [verify]? (see kubectl wechat --help)":   {"verfy"},
		"unknown command (see kubectl wechat --help)":                                           {token},
		"there is no flag --platfrm: did you mean --platform?":                                  {"verify", "demo", "--platfrm=x"},
		"there is no flag --timeot: did you mean --timeout? (see kubectl wechat verify --help)": {"verify", "-timeot=" + token},
		"there is no such flag":                                                                                        {"verify", "-" + token},
		"the value of flag --timeout is not of type duration":                                                          {"verify", "demo", "--timeout", token},
		"there is no WeChatEndpoint dem in namespace shop: did you mean demo?":                                         {"verify", "dem"},
		"there is no WeChatEndpoint pay in namespace shop, and there is one in other: add -n other":                    {"verify", "pay"},
		"there is no WeChatEndpoint nothing-like-it in namespace shop: see kubectl get wechatendpoints -A":             {"verify", "nothing-like-it"},
		"there is no WeChatEndpoint demo in namespace empty, and there is one in shop: add -n shop":                    {"send", "demo", "-n", "empty"},
		"an argument that begins with - cannot be read as a flag (see kubectl wechat verify --help)":                   {"verify", "---" + token},
		"kubectl wechat version: flag --namespace needs an argument (see kubectl wechat version --help)":               {"version", "-n"},
		"kubectl wechat completion: it takes no name of an endpoint (see kubectl wechat completion --help)":            {"completion", "bash"},
		"kubectl wechat: a token or key is never taken as an argument, where the shell's history and every user of th": {"verify", "--api-v3-key=" + apiV3Key},
	} {
		run(t, there, "", args...).check(t, StatusUsage, words)
	}
}

// refusing is a cluster that answers every request with an error.
func refusing(t *testing.T, err error) Connect {
	t.Helper()
	scheme, schemeErr := newScheme()
	if schemeErr != nil {
		t.Fatal(schemeErr)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return err
		},
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return err },
	}).Build()
	return connectTo(c)
}

// TestAClusterThatDoesNotAnswer is named with the next command, by each command that asks for an endpoint.
func TestAClusterThatDoesNotAnswer(t *testing.T) {
	resource := schema.GroupResource{Group: "wechatendpoint.io", Resource: "wechatendpoints"}
	for words, err := range map[string]error{
		"you may not get WeChatEndpoint demo in namespace shop: ask for that right (kubectl auth can-i get wechatendpoints -n shop)": apierrors.NewForbidden(resource, "demo", errors.New("not you")),
		"the cluster does not know who you are: log in again":                                                                        apierrors.NewUnauthorized("who?"),
		"the cluster does not answer: see kubectl cluster-info, or choose another --context":                                         syscall.ECONNREFUSED,
	} {
		for _, args := range [][]string{{"verify", "demo"}, {"send", "demo"}, {"rotate", "demo"}, {"open", "demo", "--query", "a=b"}} {
			run(t, refusing(t, err), "", args...).check(t, StatusUsage, words)
		}
	}
}

func TestCompletion(t *testing.T) {
	gateway := wxg(false)
	there := cluster(t, demo(), gateway, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}},
		demo(func(e *v1alpha1.WeChatEndpoint) { e.Namespace, e.Name = "team-a", "pay" }))
	for _, test := range []struct{ args, want string }{
		{"ver", "verify\tdo the URL check of WeChat's console, and say why it would fail\nversion\tprint"},
		{"verify |", "demo\n:4\n"},
		{"verify -n team-a |", "pay\n:4\n"},
		{"verify demo |", ":4\n"},
		{"verify -n |", "shop\nteam-a\n:4\n"},
		{"send demo --scenario |", "text\norder\nbot\n"},
		{"send --platform |", "OfficialAccount\nMiniProgram\n"},
		{"verify --lang |", "en\nzh\n"},
		{"verify --tok", "--token-file\tread the token from"},
	} {
		args := append([]string{"__complete"}, strings.Fields(test.args)...)
		if args[len(args)-1] == "|" {
			args[len(args)-1] = ""
		}
		if got := run(t, there, "", args...); !strings.Contains(got.out, test.want) {
			t.Errorf("%s: %q is missing:\n%s%s", test.args, test.want, got.out, got.errout)
		}
	}
	run(t, refusing(t, errors.New("weather")), "", "__complete", "verify", "").check(t, StatusOK, ":4\n")
	run(t, noCluster(t), "", "completion").check(t, StatusOK, "kubectl wechat __complete")
}

func TestTheFlagsOfKubectlReachTheCluster(t *testing.T) {
	connect := func(flags *genericclioptions.ConfigFlags) (client.Client, string, error) {
		if *flags.Impersonate != "jane" || *flags.ImpersonateGroup == nil || *flags.Timeout != "7s" {
			t.Errorf("as %q, groups %v, timeout %q", *flags.Impersonate, *flags.ImpersonateGroup, *flags.Timeout)
		}
		return nil, "", errors.New("enough")
	}
	run(t, connect, "", "version", "--as", "jane", "--as-group", "qa", "--request-timeout=7s").check(t, StatusUsage, "enough")
}

// TestColoursAreForTerminals: and what is written elsewhere has none.
func TestColoursAreForTerminals(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as terminals are
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	environment := func(values map[string]string) Plugin {
		return Plugin{Getenv: func(name string) string { return values[name] }}
	}
	for name, test := range map[string]struct {
		plugin Plugin
		want   string
	}{
		"a terminal":   {environment(map[string]string{"WT_SESSION": "1"}), "\x1b[32mok\x1b[0m"},
		"NO_COLOR":     {environment(map[string]string{"WT_SESSION": "1", "NO_COLOR": "1"}), "ok"},
		"TERM is dumb": {environment(map[string]string{"WT_SESSION": "1", "TERM": "dumb"}), "ok"},
	} {
		if got := test.plugin.paint(green, "ok", device); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if got := environment(nil).paint(green, "ok", &bytes.Buffer{}); got != "ok" {
		t.Errorf("a file: %q", got)
	}
}
