// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// Diagnosis is what kubectl wechat doctor -o json prints.
type Diagnosis struct {
	// Endpoint is namespace/name, left out where only a URL was named.
	Endpoint string `json:"endpoint,omitempty"`
	URL      string `json:"url,omitempty"`
	// Refused says that WeChat would refuse, for the findings whose level is refuses.
	Refused  bool               `json:"refused"`
	Findings []DiagnosisFinding `json:"findings"`
}

// DiagnosisFinding is one cause. Level is refuses, risk, unknown or ask (only WeChat sees it); Place is here, cluster or wechat.
type DiagnosisFinding struct {
	Cause string `json:"cause"`
	Place string `json:"place"`
	Level string `json:"level"`
	Text  string `json:"text"`
	Do    string `json:"do"`
}

// doctor collects what can be known of a URL and tells every cause for which WeChat could refuse it.
func (p Plugin) doctor(ctx context.Context, o options) (int, error) {
	facts, url, err := p.facts(ctx, o)
	if err != nil {
		return 0, err
	}
	findings := doctor.Decide(facts)
	diagnosis := p.diagnosis(facts, url, findings)
	status := StatusOK
	if diagnosis.Refused {
		status = StatusRefused
	}
	if done, err := p.print(o.output, diagnosis); done || err != nil {
		return status, err
	}
	p.showDiagnosis(diagnosis, facts)
	return status, nil
}

func (p Plugin) diagnosis(facts doctor.Facts, url string, findings []doctor.Finding) Diagnosis {
	d := Diagnosis{URL: url, Refused: doctor.Refused(findings) != nil, Findings: []DiagnosisFinding{}}
	if facts.Cluster != nil {
		d.Endpoint = client.ObjectKeyFromObject(facts.Cluster.Endpoint).String()
	}
	for _, one := range findings {
		d.Findings = append(d.Findings, DiagnosisFinding{string(one.Cause), string(one.Place), string(one.Level), p.lang.Say(one.Text), p.lang.Say(one.Remedy)})
	}
	return d
}

// facts finds out what doctor judges. A half-made endpoint is no error: what can be looked at is.
func (p Plugin) facts(ctx context.Context, o options) (doctor.Facts, string, error) {
	var cluster *doctor.Cluster
	var reader client.Reader
	if o.name != "" {
		connected, namespace, err := p.connect(o)
		if err != nil {
			return doctor.Facts{}, "", err
		}
		reader = connected
		if cluster, err = lookAtCluster(ctx, connected, namespace, o); err != nil {
			return doctor.Facts{}, "", err
		}
	}
	sender, a, signed, err := p.probe(ctx, o, reader, cluster)
	if err != nil {
		return doctor.Facts{}, "", err
	}
	facts := doctor.Facts{Now: time.Now(), Platform: a.platform, Checked: a.checkable() == nil, Cluster: cluster}
	if sender.URL == "" { // the operator says why
		return facts, "", nil
	}
	shown := hide(sender.URL, sender.Token, sender.EncodingAESKey)
	facts.Invalid = diagnose.URL(&sender)
	target, err := caller.ParseURL(sender.URL)
	if facts.Invalid != nil || err != nil {
		return facts, shown, nil
	}
	facts.Host, facts.Secure = target.Hostname(), target.Scheme == "https"
	facts.Here, err = doctor.Look(ctx, net.DefaultResolver, sender, signed)
	if ctx.Err() != nil {
		return facts, shown, errInterrupted
	}
	return facts, shown, err
}

// hide takes secrets out of a URL, in whose query somebody may have put one.
func hide(url string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			url = strings.ReplaceAll(url, secret, "…")
		}
	}
	return url
}

// probe is who plays WeChat: with the account's token, or, where none is known, with one that nobody has.
func (p Plugin) probe(ctx context.Context, o options, reader client.Reader, cluster *doctor.Cluster) (caller.Sender, account, bool, error) {
	o.command = commandVerify // for the mark of the nonce
	sender := caller.Sender{URL: o.url, Address: o.address, Timeout: o.timeout, Nonce: o.nonce, RootCAs: p.RootCAs}
	var endpoint *v1alpha1.WeChatEndpoint
	if cluster != nil {
		endpoint = cluster.Endpoint
		if sender.URL == "" {
			sender.URL = endpointURL(endpoint)
		}
	}
	a := accountOf(o, endpoint)
	sender.URL = caller.WithPathID(sender.URL, cmp.Or(o.pathID, caller.Account{ReceiverIDs: a.accepted(o)}.Receiver(), "wx0000000000000000"))
	keys := vault{plugin: p, reader: reader, endpoint: endpoint}
	pair, err := keys.pair(ctx, o, a)
	if err != nil && (cluster == nil || o.tokenFile+o.aesKeyFile+o.apiV3KeyFile != "") {
		return sender, a, false, err
	}
	if cluster != nil && cluster.Secret != nil && err != nil {
		cluster.Values = err
	}
	signed := err == nil && a.checkable() == nil
	if !signed {
		pair = config.Pair{Token: rand.Text()}
	}
	sender.PlayFor(caller.Account{Platform: string(a.platform), MessageMode: string(a.mode), ReceiverIDs: a.accepted(o), PathID: o.pathID, Pair: pair})
	sender.Pay = nil // a URL check is sent to every platform
	return sender, a, signed, nil
}

// lookAtCluster reads an endpoint and what stands around it. What may not be read is told.
func lookAtCluster(ctx context.Context, cluster client.Reader, namespace string, o options) (*doctor.Cluster, error) {
	var endpoint v1alpha1.WeChatEndpoint
	err := cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: o.name}, &endpoint)
	switch {
	case apierrors.IsNotFound(err):
		return nil, notThere(ctx, cluster, kindEndpoint, namespace, o.name, &v1alpha1.WeChatEndpointList{})
	case err != nil:
		return nil, unread(kindEndpoint, namespace, o.name, err)
	}
	found := &doctor.Cluster{Endpoint: &endpoint}
	found.Secret, found.SecretErr = readSecret(ctx, cluster, namespace, endpoint.Spec.Credentials.SecretName)
	if ingress := endpoint.Spec.URL.Ingress; ingress != nil && ingress.TLSSecretName != "" {
		found.Certificate, found.CertificateErr = readSecret(ctx, cluster, namespace, ingress.TLSSecretName)
	}
	var pods corev1.PodList
	if err := cluster.List(ctx, &pods, client.InNamespace(namespace), podsOf(&endpoint), sidecarPods); err != nil {
		found.PodsErr = unlisted(err)
	}
	found.Pods = pods.Items
	var ingresses networkingv1.IngressList
	if err = cluster.List(ctx, &ingresses); err != nil {
		if err = cluster.List(ctx, &ingresses, client.InNamespace(namespace)); err != nil {
			found.IngressesErr = unlisted(err)
		}
	}
	found.Ingresses = ingresses.Items
	return found, nil
}

// readSecret is nil where there is no such Secret.
func readSecret(ctx context.Context, cluster client.Reader, namespace, name string) (*corev1.Secret, error) {
	var secret corev1.Secret
	err := cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case apierrors.IsForbidden(err):
		return nil, text.Errorf("you may not get it")
	case err != nil:
		return nil, text.Errorf("it could not be read: %w", err)
	}
	return &secret, nil
}

// showDiagnosis writes a diagnosis for people.
func (p Plugin) showDiagnosis(d Diagnosis, facts doctor.Facts) {
	r := p.report(p.Stdout)
	if d.Endpoint != "" {
		r.line("endpoint", "%s", d.Endpoint)
	}
	if d.URL != "" {
		r.line("url", "%s", printable(d.URL))
	}
	for _, call := range facts.Here.Calls {
		if call.Answer.Status != 0 {
			r.line("answer", "%s: %s, %v", call.Address, head(call.Answer), call.Answer.Elapsed.Round(time.Millisecond))
		} else {
			r.line("answer", "%s: %s", call.Address, text.New("no answer"))
		}
	}
	for _, place := range []struct {
		place doctor.Place
		title text.Text
	}{
		{doctor.FromHere, text.New("Found from here:")}, {doctor.FromCluster, text.New("Found in the cluster:")}, {doctor.FromWeChat, text.New("What only WeChat sees:")},
	} {
		of := slices.DeleteFunc(slices.Clone(d.Findings), func(one DiagnosisFinding) bool { return one.Place != string(place.place) })
		if place.place == doctor.FromCluster && facts.Cluster == nil {
			continue
		}
		fmt.Fprintf(p.Stdout, "\n%s\n", p.lang.Say(place.title))
		if len(of) == 0 {
			fmt.Fprintf(p.Stdout, "%s %s\n", p.mark(markOK, p.Stdout), p.say("nothing that WeChat would refuse"))
		}
		for _, one := range of {
			fmt.Fprintf(p.Stdout, "%s %s (%s)\n", p.mark(markOf[doctor.Level(one.Level)], p.Stdout), printable(one.Text), one.Cause)
			fmt.Fprintf(p.Stdout, "%-10s %s\n", "", printable(p.lang.Sprintf("do: %s", one.Do)))
		}
	}
	if !d.Refused {
		fmt.Fprintln(p.Stdout)
		r.ok("nothing was found for which WeChat would refuse the URL")
	}
}

// markOf are the marks of the levels.
var markOf = map[doctor.Level]string{doctor.Refuses: markFailed, doctor.Risk: markRisk, doctor.Unknown: markUnknown, doctor.Ask: markCompare}
