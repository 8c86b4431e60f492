//go:build limits

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

// inNamespace runs a program with a file of hosts of its own.
const inNamespace = `mount --bind "$0" /etc/hosts && exec "$@"`

// startFleet starts two sidecars, each in a memory cgroup of its own, which find each other by a name.
func startFleet(t *testing.T, edit func(*config.Config), app http.HandlerFunc) [2]*pod {
	t.Helper()
	dir := writeDocuments(t, edit, 0, app)
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.8.1 peers\n127.0.8.2 peers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ops, err := net.SplitHostPort(ports.Free())
	if err != nil {
		t.Fatal(err)
	}
	var pods [2]*pod
	for n := range pods {
		p := newPod(t, ports.Free(), fmt.Sprintf("127.0.8.%d:%s", n+1, ops))
		p.start(t, p.group.Command(context.Background(), "unshare", "--mount", "sh", "-c", inNamespace, hosts, binary,
			"-config-dir", dir, "-listen", p.public, "-ops-listen", p.ops, "-drain-delay", "0s", "-grace", "1s", "-peers", "peers:"+ops))
		pods[n] = p
	}
	for _, p := range pods {
		for deadline := time.Now().Add(20 * time.Second); p.metric(t, "wechat_sidecar_peers") != 1; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the pods do not find each other")
			}
		}
	}
	return pods
}

// metric reads one of the pod's metrics.
func (p *pod) metric(t *testing.T, series string) float64 {
	t.Helper()
	response, err := http.Get("http://" + p.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("there is no %s", series)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestBurstInAFleet sends both pods everything at once, of which each hands half over to the other: neither is killed, nor loses messages for
// which there is room.
func TestBurstInAFleet(t *testing.T) {
	machine.Lock()
	defer machine.Unlock()
	pods := startFleet(t, nil, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Wechat-Open-Id") == "oSlow" {
			time.Sleep(6 * time.Second)
		}
	})
	total := burstMessages(t, 20_000)
	var number, nonces atomic.Int64
	nonce := func() string { return strconv.FormatInt(1_000_000_000+nonces.Add(1), 10) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var many, all [2]*crowd
	for n, p := range pods {
		sender := &caller.Sender{URL: p.url, Token: token, EncodingAESKey: aesKey, ReceiverID: reception, Nonce: nonce}
		many[n] = newCrowd(p, sender, &number, func() bool { return number.Load() >= total || ctx.Err() != nil })
		many[n].send(32, "oUser", 0)
	}
	for _, crowd := range many {
		crowd.Wait()
	}
	slow, end := context.WithTimeout(t.Context(), 8*time.Second)
	defer end()
	for n, p := range pods {
		all[n] = newCrowd(p, many[n].sender, &number, func() bool { return slow.Err() != nil })
		all[n].send(48, "oUser", 0)
		all[n].send(16, "oUser", 180<<10)
		all[n].send(300, "oSlow", 0)
	}
	for _, crowd := range all {
		crowd.Wait()
	}
	for n, p := range pods {
		t.Logf("burst: pod %d: first %s, and at once with all that is worst %s; handed over %v, busy %v; RSS %.1f MiB, peak %.1f MiB of %d, kills %d, CPU %v", n, many[n], all[n],
			p.metric(t, `wechat_sidecar_handovers_total{result="answered"}`), p.metric(t, `wechat_sidecar_handovers_total{result="busy"}`),
			mebi(p.group.RSS()), mebi(p.group.Peak()), limit>>20, p.group.Kills(), p.cpu())
		if p.group.Kills() != 0 || many[n].failed.Load() != 0 || many[n].refused.Load() != 0 || !p.ready() {
			t.Error("it was killed, lost messages for which there was room, or is not ready")
		}
	}
}
