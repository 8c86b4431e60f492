// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// Names of what the demo makes.
const (
	namespace         = "wechat-demo"
	release           = "wechat-endpoint"
	chart             = "charts/wechat-endpoint"
	operatorNamespace = "wechatendpoint-system"
	operatorName      = "wechatendpoint-operator"
	host              = "http://wx.example.com"
)

// The tokens of the console, before and after the change. A real one is nobody's to read.
const (
	firstToken  = "DemoToken1"
	secondToken = "DemoToken2"
)

// The second account, whose messages are encrypted.
const (
	clubToken = "DemoClubToken"
	clubKey   = "DemoEncodingAESKey0000000000000000000000000"
	clubAppID = "wx0000000000000002"
)

// newsToken is of the third account, which begins on a gateway.
const newsToken = "DemoNewsToken"

// The addresses of the local cluster: its node's inside its network, and the relay to it on this machine.
const (
	nodeAddress  = "198.18.255.1:80"
	relayAddress = "127.0.0.1:26480"
)

// patience is how long a state of the cluster is waited for.
const patience = 2 * time.Minute

//go:embed manifests
var manifests embed.FS

// demo is one run.
type demo struct {
	out           io.Writer
	kubectl, helm string
	local         bool
	values        *strings.Replacer // of the manifests, but for the token
	imagePrefix   string
	imageTag      string
	build         string // of the binaries in the images
	shop, club    account
	news          account
	sent          []byte // the user's message, before it was encrypted

	number, passed, failed int
}

func newDemo() (*demo, error) {
	d := &demo{
		out:         os.Stdout,
		local:       cmp.Or(os.Getenv("CLUSTER"), "local") == "local",
		imagePrefix: cmp.Or(os.Getenv("IMAGE_PREFIX"), "ghcr.io/wechatendpoint"),
		imageTag:    cmp.Or(os.Getenv("IMAGE_TAG"), "dev"),
		shop:        account{"shop", caller.Sender{URL: host + "/weixin", Token: firstToken, Address: os.Getenv("INGRESS_ADDRESS")}},
		club:        account{"club", caller.Sender{URL: host + "/club", Token: clubToken, EncodingAESKey: clubKey, ReceiverID: clubAppID}},
		news:        account{"news", caller.Sender{URL: host + "/news", Token: newsToken}},
	}
	if d.local && d.shop.Address == "" {
		d.shop.Address = nodeAddress
	}
	var problems []error
	var err error
	if d.kubectl, err = exec.LookPath(cmp.Or(os.Getenv("KUBECTL"), "kubectl")); err != nil {
		problems = append(problems, errors.New("kubectl is needed: put it on the PATH, or its path into KUBECTL"))
	}
	if d.helm, err = exec.LookPath(cmp.Or(os.Getenv("HELM"), "helm")); err != nil {
		problems = append(problems, errors.New("helm is needed: put it on the PATH, or its path into HELM; tools/install helm makes it"))
	}
	d.build = buildOf("operator", "sidecar", "example-app")
	d.values = strings.NewReplacer(
		"${BUILD}", d.build, "${CLUB_TOKEN}", clubToken, "${CLUB_KEY}", clubKey, "${CLUB_APP_ID}", clubAppID, "${NEWS_TOKEN}", newsToken,
		"${APP_IMAGE}", d.imagePrefix+"/example-app:"+d.imageTag,
		"${INGRESS_CLASS}", cmp.Or(os.Getenv("INGRESS_CLASS"), "traefik"),
	)
	return d, errors.Join(problems...)
}

// manifest is one of the embedded files with its values filled in.
func (d *demo) manifest(name string) string {
	content, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		panic(err) // a name that is not in the folder of this program
	}
	return d.values.Replace(string(content))
}

func (d *demo) secret(token string) string {
	return strings.ReplaceAll(d.manifest("secret.yaml"), "${TOKEN}", token)
}

func (d *demo) printf(format string, values ...any) { fmt.Fprintf(d.out, format, values...) }

// show prints lines that belong to a step.
func (d *demo) show(format string, values ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, values...), "\n")
	for line := range strings.Lines(text) {
		d.printf("      %s\n", strings.TrimRight(line, "\n"))
	}
}
