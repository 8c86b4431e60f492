// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/test/demo/manifests"
	"github.com/wechatendpoint/wechatendpoint/test/story"
)

// Names of what the demo makes.
const (
	namespace         = manifests.Namespace
	release           = "wechat-endpoint"
	chart             = "charts/wechat-endpoint"
	operatorNamespace = "wechatendpoint-system"
	operatorName      = "wechatendpoint-operator"
)

// The addresses of the local cluster: its node's inside its network, and the relay to it on this machine.
const (
	nodeAddress  = "198.18.255.1:80"
	relayAddress = "127.0.0.1:26480"
)

// demo is one run.
type demo struct {
	*story.Story
	kubectl, helm string
	local         bool
	values        *strings.Replacer // of the manifests
	imagePrefix   string
	imageTag      string
	build         string // of the binaries in the images
	shop, club    story.Account
	news          story.Account
}

func newDemo() (*demo, error) {
	d := &demo{
		Story:       story.New(os.Stdout),
		local:       cmp.Or(os.Getenv("CLUSTER"), "local") == "local",
		imagePrefix: cmp.Or(os.Getenv("IMAGE_PREFIX"), "ghcr.io/wechatendpoint"),
		imageTag:    cmp.Or(os.Getenv("IMAGE_TAG"), "dev"),
	}
	d.shop = d.account("shop", "/weixin", caller.Sender{Token: manifests.FirstToken, Address: os.Getenv("INGRESS_ADDRESS")})
	d.club = d.account("club", "/club", caller.Sender{
		Token: manifests.ClubToken, EncodingAESKey: manifests.ClubKey, ReceiverID: manifests.ClubAppID,
	})
	d.news = d.account("news", "/news", caller.Sender{Token: manifests.NewsToken})
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
		"${BUILD}", d.build,
		"${APP_IMAGE}", d.imagePrefix+"/example-app:"+d.imageTag,
		"${INGRESS_CLASS}", cmp.Or(os.Getenv("INGRESS_CLASS"), "traefik"),
	)
	return d, errors.Join(problems...)
}

// account is one of the demo's, with a URL that ends so.
func (d *demo) account(endpoint, path string, sender caller.Sender) story.Account {
	sender.URL = "http://" + manifests.Host + path
	logs := []string{"logs", "-l", v1alpha1.LabelEndpoint + "=" + endpoint, "--tail=1"}
	return story.Account{
		Story: d.Story, Sender: sender, Endpoint: namespace + "/" + endpoint, Want: story.Reply, Seen: d.seen,
		LastLine: func(ctx context.Context) (string, error) { return d.kubectlRun(ctx, logs...) },
		LogIs:    "$ kubectl -n " + namespace + " " + story.Quoted(logs),
	}
}
