// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// end ends a pod as SIGKILL does.
func (m *member) end() {
	m.public.kill()
	m.second.kill()
	m.stop()
}

// join starts a pod at an address of its own, to which DNS leads nobody yet. It knows the others.
func (f *fleet) join(t *testing.T, others ...*member) *member {
	t.Helper()
	address := f.pods[0].address.As4()
	address[3] = byte(len(f.pods) + 1)
	pod := &member{address: netip.AddrFrom4(address), listed: f.addresses(others...)}
	f.pods = append(f.pods, pod)
	f.start(t, pod, nil)
	pod.awaitPeers(t, len(others))
	return pod
}

// hasTold waits until the pod has told others so often, which agreed.
func (m *member) hasTold(t *testing.T, times int) {
	t.Helper()
	eventually(t, m.address.String()+" tells others", func() bool { return m.metric(t, `wechat_sidecar_uses_told_total{result="agreed"}`) >= float64(times) })
}

// forges wants a pod to refuse another body with the query of a message.
func (f *fleet) forges(t *testing.T, pod *member, genuine *caller.Request) {
	t.Helper()
	if answer := f.send(t, pod, genuine.WithBody([]byte("<xml>forged</xml>"))); answer.Status != http.StatusForbidden {
		t.Errorf("%s takes another body: %d", pod.address, answer.Status)
	}
	for _, body := range f.app.taken() {
		if strings.Contains(body, "forged") {
			t.Error("the app saw the forged message")
		}
	}
}

// TestABindingOutlivesItsPod: in plaintext mode a signature covers no body. What comes with it first is known to whoever is left.
func TestABindingOutlivesItsPod(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(t *testing.T, f *fleet){
		"the pod that took it is killed": func(t *testing.T, f *fleet) {
			request := f.messageOf(t, f.pods[0], f.pods...)
			f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
			f.pods[0].end()
			f.forges(t, f.pods[1], request)
			f.forges(t, f.pods[2], request)
			f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], request)) // WeChat's own repeat
		},
		"so is the one that had it from another": func(t *testing.T, f *fleet) {
			request := f.messageOf(t, f.pods[0], f.pods...)
			f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], request))
			f.pods[0].end()
			f.pods[1].end()
			f.forges(t, f.pods[2], request)
		},
		"it begins anew in its place, and then all others end": func(t *testing.T, f *fleet) {
			request := f.messageOf(t, f.pods[0], f.pods...)
			f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
			f.pods[0].end()
			f.start(t, f.pods[0], nil)
			f.pods[0].awaitPeers(t, 2)
			f.pods[0].hasTold(t, 2)
			later := f.messageOf(t, f.pods[1], f.pods...)
			f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], later))
			f.pods[1].end()
			f.pods[2].end()
			f.forges(t, f.pods[0], request)
			f.forges(t, f.pods[0], later)
		},
		"all are replaced, and DNS tells the old ones nothing of the new ones": func(t *testing.T, f *fleet) {
			before := f.pods
			request := f.messageOf(t, f.pods[0], f.pods...)
			f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
			pod := f.join(t, before...)
			pod.hasTold(t, len(before))
			later := f.messageOf(t, f.pods[1], before...)
			f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], later))
			for _, one := range before {
				one.end()
			}
			f.forges(t, pod, request)
			f.forges(t, pod, later)
		},
		"nobody told the other, which knows of the one that took it": func(t *testing.T, f *fleet) {
			f.pods[0].list(f.pods[0].address)
			f.pods[0].awaitPeers(t, 0)
			request := f.newMessage(t)
			f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
			for _, pod := range f.pods[1:] {
				f.forges(t, pod, request)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, newFleet(t, plaintextAccount(), 3, nil))
		})
	}
}

// TestAPodBeginsOnceTheOthersKnowOfIt: where they do not answer it waits, and not for long. Until then no callbacks are sent to it.
func TestAPodBeginsOnceTheOthersKnowOfIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, then func(f *fleet, other *member)
		told         string // what came of the last greeting
	}{
		"another one freezes, and thaws": {
			func(_ *fleet, other *member) { other.second.freeze() }, func(_ *fleet, other *member) { other.second.thaw() }, "agreed",
		},
		"it cannot be reached yet": {
			func(_ *fleet, other *member) { other.end() }, func(f *fleet, other *member) { f.start(t, other, nil) }, "agreed",
		},
		"it is gone, and DNS does not know": {func(_ *fleet, other *member) { other.end() }, func(*fleet, *member) {}, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, plaintextAccount(), 2, func(f *fleet) { f.patience = 50 * time.Millisecond })
			test.before(f, f.pods[1])
			began := time.Now()
			pod := f.join(t, f.pods...)
			if pod.ready(t) && time.Since(began) < 2*time.Second {
				t.Error("it is ready before the others know of it")
			}
			test.then(f, f.pods[1])
			eventually(t, "it is ready", func() bool { return pod.ready(t) })
			eventually(t, "another one is "+test.told, func() bool { return pod.metric(t, `wechat_sidecar_uses_told_total{result="`+test.told+`"}`) > 0 })
		})
	}
}

// ready reports whether callbacks are sent to the pod.
func (m *member) ready(t *testing.T) bool {
	t.Helper()
	code, _ := m.get(t, "/readyz")
	return code == http.StatusOK
}

// TestWhoeverSaysThatItIsBound without the key of the fleet keeps no message from the app.
func TestWhoeverSaysThatItIsBound(t *testing.T) {
	t.Parallel()
	for name, signature := range map[string]string{"without a signature": "", "with another": strings.Repeat("0", 64)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, plaintextAccount(), 2, nil)
			request := f.messageOf(t, f.pods[0], f.pods...)
			f.pods[1].replace(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(peers.HeaderUses, signature)
				w.WriteHeader(peers.StatusBound)
			}))
			f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
			f.expectOnce(t)
		})
	}
}

// TestTwoPodsThatBindAtOnce take it back: WeChat's next try is decided anew.
func TestTwoPodsThatBindAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 2, nil)
	request := f.messageOf(t, f.pods[0], f.pods...)
	signature := signatureOf(request)
	forged := useOf(signature, []byte("<xml>forged</xml>"))
	key := peers.NewKey(f.document.Credentials.GatewayKey)
	pod := f.lone(t, f.pods[1])
	if pod.Tell(t.Context(), key, f.document.Endpoint, forged) {
		t.Fatal("it is bound already")
	}
	if answer := f.send(t, f.pods[0], request); answer.Status != http.StatusForbidden {
		t.Errorf("it is bound otherwise elsewhere, and answered with %d", answer.Status)
	}
	if !f.lone(t, f.pods[1]).Tell(t.Context(), key, f.document.Endpoint, useOf(signature, request.Body)) {
		t.Error("what was told is forgotten")
	}
	if f.lone(t, f.pods[0]).Tell(t.Context(), key, f.document.Endpoint, forged) {
		t.Error("what was not let through stays bound")
	}
}

// useOf is the use of a message's signature with a body.
func useOf(signature string, body []byte) peers.Use {
	use, _ := memory.UseOf(signature, http.MethodPost, body, time.Now().Add(time.Minute))
	return peers.Use(use)
}

// lone is a pod that knows one other.
func (f *fleet) lone(t *testing.T, other *member) *peers.Fleet {
	t.Helper()
	pod := peers.New(peers.Options{Port: secondPort, InFlight: 10, Patience: patience, Failed: func(netip.Addr, peers.Result) {},
		Lookup: func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{other.address}, nil }})
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go pod.Watch(ctx, nil)
	eventually(t, "a pod knows the other", func() bool { return pod.Others() == 1 })
	return pod
}

func signatureOf(request *caller.Request) string {
	query := httptest.NewRequest(http.MethodPost, "/?"+request.Query, nil).URL.Query()
	return query.Get("signature")
}

// TestWhatIsToldByAnybodyElse binds nothing.
func TestWhatIsToldByAnybodyElse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 2, nil)
	key, endpoint := peers.NewKey(f.document.Credentials.GatewayKey), f.document.Endpoint
	to := func(n int) netip.AddrPort { return netip.AddrPortFrom(f.pods[n].address, secondPort) }
	for name, test := range map[string]struct {
		change func(*peers.Telling)
		key    []byte
		cut    bool
		want   int
		binds  bool
	}{
		"a pod of the fleet, to show that it would": {key: key, want: http.StatusOK, binds: true},
		"another key":            {key: []byte("another"), want: peers.StatusForged},
		"the gateway key itself": {key: f.document.Credentials.GatewayKey, want: peers.StatusForged},
		"an empty key":           {key: []byte{}, want: peers.StatusForged},
		"no JSON":                {key: key, cut: true, want: peers.StatusForged},
		"a part of a use":        {change: func(t *peers.Telling) { t.Uses = t.Uses[:35] }, key: key, want: peers.StatusForged},
		"told to another pod":    {change: func(t *peers.Telling) { t.To = to(1) }, key: key, want: peers.StatusForged},
		"told a while ago":       {change: func(t *peers.Telling) { t.At -= 62 }, key: key, want: peers.StatusForged},
		"told in the future":     {change: func(t *peers.Telling) { t.At += 62 }, key: key, want: peers.StatusForged},
		"of another endpoint":    {change: func(t *peers.Telling) { t.Endpoint = "team-a/other" }, key: key, want: peers.StatusElsewhere},
		"more than a pod tells":  {change: func(t *peers.Telling) { t.Endpoint = strings.Repeat("a", 4<<10) }, key: key, want: peers.StatusForged},
		"of a use that is to be remembered for hours": {change: func(t *peers.Telling) { t.Uses[32] = 0xff }, key: key, want: http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			request := f.messageOf(t, f.pods[0], f.pods[0])
			use := useOf(signatureOf(request), []byte("<xml>forged</xml>"))
			telling := peers.Telling{Endpoint: endpoint, To: to(0), At: time.Now().Unix(), Uses: peers.AppendUses(nil, use)}
			if test.change != nil {
				test.change(&telling)
			}
			body, signature := telling.Sign(test.key)
			if test.cut {
				body = body[:len(body)-1]
			}
			if status := f.tells(t, f.pods[0], body, signature); status != test.want {
				t.Errorf("answered %d, want %d", status, test.want)
			}
			want := http.StatusOK
			if test.binds {
				want = http.StatusForbidden
			}
			if answer := f.send(t, f.pods[0], request); answer.Status != want {
				t.Errorf("the genuine message is answered with %d, want %d", answer.Status, want)
			}
		})
	}
}

// tells sends what is told to a pod's second port.
func (f *fleet) tells(t *testing.T, pod *member, body []byte, signature string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pod.ops+peers.UsesPath, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(peers.HeaderUses, signature)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
