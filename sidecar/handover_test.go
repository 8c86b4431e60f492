// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// merchants is accounts with one of WeChat Pay.
func merchants(t *testing.T) map[string]account {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	all := maps.Clone(accounts())
	all["a merchant"] = account{
		edit: func(c *config.Config) { c.Platform, c.MessageMode, c.AppID = config.PlatformPay, "", "1900000001" }, message: `{"out_trade_no":"hi"}`,
		sender: caller.Sender{Pay: &caller.PayAccount{PrivateKey: key, Serial: serial, APIv3Key: apiV3Key}},
	}
	return all
}

func encryptedAccount() account { return accounts()["an Official Account, encrypted"] }
func plaintextAccount() account { return accounts()["an Official Account, plaintext"] }

// expectAnswer compares an answer with what WeChat reads where the app has taken the message.
func (f *fleet) expectAnswer(t *testing.T, pod *member, answer caller.Answer) {
	t.Helper()
	if f.kind.sender.Pay != nil {
		if answer.Status != http.StatusNoContent || len(answer.Body) > 0 {
			t.Errorf("answered %d %q", answer.Status, answer.Body)
		}
		return
	}
	expectReply(t, f.kind, f.sender(pod), answer)
}

// TestAMessageReachesTheAppOnce: its repeats come at once to different pods, each gets the reply, sealed for it, and the app sees one.
func TestAMessageReachesTheAppOnce(t *testing.T) {
	t.Parallel()
	for kind, a := range merchants(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, a, 3, nil)
			f.app.answers(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(50 * time.Millisecond)
				_, _ = io.WriteString(w, a.reply+a.answered)
			})
			for _, owner := range f.pods {
				request := f.messageOf(t, owner, f.pods...)
				var senders sync.WaitGroup
				for _, pod := range f.pods {
					senders.Go(func() {
						answer, err := f.sender(pod).Send(t.Context(), request)
						if err != nil {
							t.Error(err)
							return
						}
						f.expectAnswer(t, pod, answer)
					})
				}
				senders.Wait()
				for _, pod := range f.pods { // and when it is over
					f.expectAnswer(t, pod, f.send(t, pod, request))
				}
				f.expectOnce(t)
				f.app.taken()
				if got := owner.metric(t, `wechat_sidecar_callbacks_total{outcome="answered"}`); got != 6 {
					t.Errorf("its owner has counted %v of 6 callbacks", got)
				}
			}
			for _, pod := range f.pods {
				if got := pod.handovers(t, "answered"); got != 4 {
					t.Errorf("%s has handed over %v of 4", pod.address, got)
				}
			}
		})
	}
}

// TestRepliesAreSealedForEachRepeat: WeChat reads the nonce of the request that it waits for.
func TestRepliesAreSealedForEachRepeat(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	first := f.messageOf(t, f.pods[0], f.pods...)
	bodies := map[string]bool{}
	for _, pod := range []*member{f.pods[0], f.pods[1], f.pods[1]} {
		answer := f.send(t, pod, first)
		f.expectAnswer(t, pod, answer)
		bodies[string(answer.Body)] = true
	}
	if f.expectOnce(t); len(bodies) != 3 {
		t.Error("two replies have the same random bytes")
	}
}

// TestASignatureIsGoodForOneUseOnAllPods: in plaintext mode it covers no body. Whoever reads one in a log can post nothing with it, at
// whatever pod, and WeChat's own repeat passes.
func TestASignatureIsGoodForOneUseOnAllPods(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]int{"another pod owns it": 1, "this pod owns it": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, plaintextAccount(), 3, nil)
			request := f.messageOf(t, f.pods[of], f.pods...)
			if answer := f.send(t, f.pods[0], request); answer.Status != http.StatusOK {
				t.Fatalf("answered %d", answer.Status)
			}
			for _, pod := range f.pods {
				if answer := f.send(t, pod, request.WithBody([]byte("<xml>forged</xml>"))); answer.Status != http.StatusForbidden || len(answer.Body) > 0 {
					t.Errorf("%s takes another body: %d %q", pod.address, answer.Status, answer.Body)
				}
				f.expectAnswer(t, pod, f.send(t, pod, request))
			}
			f.expectOnce(t)
			if got := f.pods[of].metric(t, `wechat_sidecar_refused_total{reason="replayed"}`); got != 3 {
				t.Errorf("its owner has counted %v of 3", got)
			}
		})
	}
}

// TestASignatureOfAURLCheckIsGoodForNoMessageOnAnyPod, whichever pod has answered it.
func TestASignatureOfAURLCheckIsGoodForNoMessageOnAnyPod(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 3, nil)
	for range 2 {
		for _, answers := range f.pods {
			check, err := f.sender(answers).NewURLCheck()
			if err != nil {
				t.Fatal(err)
			}
			if answer := f.send(t, answers, check); answer.Status != http.StatusOK || string(answer.Body) != check.Echostr {
				t.Errorf("answered %d %q", answer.Status, answer.Body)
			}
			message := *check
			message.Method, message.Body = http.MethodPost, []byte("<xml>forged</xml>")
			for _, pod := range f.pods {
				if answer := f.send(t, pod, &message); answer.Status != http.StatusForbidden {
					t.Errorf("%s takes a message with a signature that %s has seen: %d", pod.address, answers.address, answer.Status)
				}
			}
		}
	}
	if f.app.count() != 0 {
		t.Error("the app saw it")
	}
}

// TestADeadOwner was killed, or cut off. The pods that are left agree on another one.
func TestADeadOwner(t *testing.T) {
	t.Parallel()
	for kind, a := range map[string]account{"encrypted": encryptedAccount(), "plaintext": plaintextAccount()} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, a, 3, nil)
			request := f.messageOf(t, f.pods[2], f.pods...)
			f.pods[2].second.kill()
			for range 2 {
				for _, pod := range f.pods[:2] {
					f.expectAnswer(t, pod, f.send(t, pod, request))
				}
			}
			f.expectOnce(t)
			if f.pods[0].handovers(t, "unreachable")+f.pods[1].handovers(t, "unreachable") == 0 {
				t.Error("nobody has asked the dead one")
			}
		})
	}
}

// TestAnOwnerThatDiesWithTheMessage: another pod delivers it, as the same delivery. The app may have seen it before.
func TestAnOwnerThatDiesWithTheMessage(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 3, nil)
	request := f.messageOf(t, f.pods[2], f.pods...)
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		f.pods[2].second.kill()
		_, _ = io.WriteString(w, f.kind.reply)
	})
	for _, pod := range f.pods[:2] {
		f.expectAnswer(t, pod, f.send(t, pod, request))
	}
	ids := map[string]bool{}
	for _, seen := range f.app.seen {
		ids[seen.Header.Get("X-Wechat-Delivery-Id")] = true
	}
	if f.app.count() != 2 || len(ids) != 1 {
		t.Errorf("the app saw it %d times, as %d deliveries; want twice, as one", f.app.count(), len(ids))
	}
	if got := f.pods[0].handovers(t, "lost"); got != 1 {
		t.Errorf("%v were lost, want 1", got)
	}
}

// TestAFrozenOwner takes connections and answers nothing, before it has taken the message.
func TestAFrozenOwner(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, func(f *fleet) { f.patience = 300 * time.Millisecond })
	f.pods[1].second.freeze()
	for n := range 3 {
		request := f.messageOf(t, f.pods[1], f.pods...)
		f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
		if got := f.app.count(); got != n+1 {
			t.Errorf("the app saw %d messages, want %d", got, n+1)
		}
	}
	f.pods[0].awaitPeers(t, 0) // it is left out after the third
	if got := f.pods[0].handovers(t, "late"); got != 3 {
		t.Errorf("%v came late, want 3", got)
	}
	f.pods[1].second.thaw()
	f.pods[0].awaitPeers(t, 1)
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], f.messageOf(t, f.pods[1], f.pods...)))
	eventually(t, "what it gets later than the other waits is not taken", func() bool { return f.pods[1].metric(t, "wechat_sidecar_in_flight") == 0 })
	if got := f.app.count(); got != 4 {
		t.Errorf("the app saw %d messages, want 4", got)
	}
}

// TestAnOwnerThatFreezesWithTheMessage: WeChat is told in time to send it again, since nobody knows what the app has.
func TestAnOwnerThatFreezesWithTheMessage(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, func(f *fleet) { f.document.Backend.Deadline = config.Duration(time.Second) })
	request := f.messageOf(t, f.pods[1], f.pods...)
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		f.pods[1].second.freeze()
		_, _ = io.WriteString(w, f.kind.reply)
	})
	if answer := f.send(t, f.pods[0], request); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("answered %d, want 503", answer.Status)
	}
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, f.kind.reply) })
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request)) // WeChat's repeat
	if got := f.pods[0].metric(t, `wechat_sidecar_callbacks_total{outcome="timed_out"}`); got != 1 {
		t.Errorf("%v callbacks timed out, want 1", got)
	}
}

// TestAPodThatDrains answers for what it holds, and takes nothing new.
func TestAPodThatDrains(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	held, fresh := f.messageOf(t, f.pods[1], f.pods...), f.messageOf(t, f.pods[1], f.pods...)
	release := make(chan struct{})
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, f.kind.reply)
	})
	var first sync.WaitGroup
	first.Go(func() { f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], held)) })
	eventually(t, "the app has it", func() bool { return f.app.count() == 1 })
	f.pods[1].stop()
	eventually(t, "it drains", func() bool { code, _ := f.pods[1].get(t, "/readyz"); return code == http.StatusServiceUnavailable })
	first.Go(func() { f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], held)) })
	first.Go(func() { f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], fresh)) })
	eventually(t, "the app has the other", func() bool { return f.app.count() == 2 })
	if got := f.pods[0].handovers(t, "not_held"); got != 1 {
		t.Errorf("%v were not held, want 1", got)
	}
	f.pods[1].second.freeze() // its answer takes a while to get through
	close(release)
	time.Sleep(500 * time.Millisecond)
	f.pods[1].second.thaw()
	first.Wait()
	if err := <-f.pods[1].ended; err != nil {
		t.Error(err)
	}
	if got := f.pods[0].handovers(t, "answered"); got != 1 {
		t.Errorf("%v were answered, want 1", got)
	}
	if f.app.count() != 2 {
		t.Errorf("the app saw %d messages, want 2", f.app.count())
	}
}

// TestAPodThatDrainsAnswersForItsCalls as long as they go on, also those that WeChat does not wait for any more.
func TestAPodThatDrainsAnswersForItsCalls(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, func(f *fleet) {
		f.document.Backend.Deadline, f.document.Backend.OnDeadline = config.Duration(500*time.Millisecond), config.OnDeadlineAcknowledge
	})
	request := f.messageOf(t, f.pods[1], f.pods...)
	release := make(chan struct{})
	f.app.answers(func(http.ResponseWriter, *http.Request) { <-release })
	acknowledged := func(pod *member) {
		t.Helper()
		if answer := f.send(t, pod, request); answer.Status != http.StatusOK {
			t.Errorf("answered %d, want 200", answer.Status)
		}
	}
	acknowledged(f.pods[1])
	f.pods[1].stop()
	eventually(t, "it takes no callbacks any more", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.pods[1].public.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	acknowledged(f.pods[0])
	f.expectOnce(t)
	if got := f.pods[0].handovers(t, "answered"); got != 1 {
		t.Errorf("%v were answered, want 1", got)
	}
	close(release)
	if err := <-f.pods[1].ended; err != nil {
		t.Error(err)
	}
}

// TestAPodThatDrainsHandsOver what it would own, and what comes to it still.
func TestAPodThatDrainsHandsOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	request := f.messageOf(t, f.pods[1], f.pods...)
	f.pods[1].stop()
	eventually(t, "it drains", func() bool { code, _ := f.pods[1].get(t, "/readyz"); return code == http.StatusServiceUnavailable })
	f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], request))
	f.pods[0].list(f.pods[0].address)
	f.pods[0].awaitPeers(t, 0)
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
	f.expectOnce(t)
}

// TestAFleetThatGrows: for a while those who owned a message before are asked first.
func TestAFleetThatGrows(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	for _, pod := range f.pods {
		pod.list(f.pods[0].address)
	}
	for _, pod := range f.pods {
		pod.awaitLook(t)
	}
	request := f.messageOf(t, f.pods[1], f.pods...)
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
	for _, pod := range f.pods {
		pod.list(f.addresses(f.pods...)...)
	}
	for _, pod := range f.pods {
		pod.awaitLook(t)
	}
	f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], request))
	f.expectOnce(t)
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], f.messageOf(t, f.pods[1], f.pods...)))
	if got := f.pods[0].handovers(t, "answered"); got != 1 {
		t.Errorf("the new one owns nothing: %v were handed over to it, want 1", got)
	}
}

// TestViewsThatDiffer: each takes the other for the owner, and the message goes one way, once.
func TestViewsThatDiffer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	f.pods[0].list(f.pods[1].address)
	f.pods[1].list(f.pods[0].address)
	request := f.newMessage(t)
	for _, pod := range f.pods {
		pod.awaitLook(t)
	}
	for _, pod := range f.pods {
		f.expectAnswer(t, pod, f.send(t, pod, request))
	}
	f.expectOnce(t)
	if got := f.pods[0].handovers(t, "answered") + f.pods[1].handovers(t, "answered"); got != 1 {
		t.Errorf("%v were handed over, want 1", got)
	}
}

// TestWithoutDNS the pods that were known stay, and somebody is told.
func TestWithoutDNS(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	f.pods[0].loseDNS(&net.DNSError{Err: "i/o timeout", IsTimeout: true})
	f.pods[0].awaitLook(t)
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], f.messageOf(t, f.pods[1], f.pods...)))
	if got := f.pods[0].handovers(t, "answered"); got != 1 {
		t.Errorf("%v were answered, want 1", got)
	}
	eventually(t, "the log tells of it", func() bool {
		log := f.pods[0].log.String()
		return strings.Contains(log, "cannot be looked up") && strings.Contains(log, "i/o timeout")
	})
}

// TestAnOwnerOfAnotherVersion answers 404, as pods do that know no hand-overs.
func TestAnOwnerOfAnotherVersion(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	request := f.messageOf(t, f.pods[1], f.pods...)
	f.pods[1].replace(t, http.NotFoundHandler())
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
	f.expectOnce(t)
	if got := f.pods[0].handovers(t, "unsupported"); got != 1 {
		t.Errorf("%v were of another version, want 1", got)
	}
}

// TestAnImpostor has the address of a pod and not the key: nothing that it says reaches WeChat.
func TestAnImpostor(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]http.HandlerFunc{
		"success": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "success") },
		"success, with a signature": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Handover-Taken", r.Header.Get("Handover-Signature"))
			_, _ = io.WriteString(w, `{"status":200,"length":0,"signature":"`+r.Header.Get("Handover-Signature")+`"}`+"\n")
		},
		"that it has taken it": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Handover-Taken", r.Header.Get("Handover-Signature"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"to go elsewhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"a head without end": func(w http.ResponseWriter, _ *http.Request) {
			for range 10000 {
				w.Header().Add("Handover-Taken", "0")
			}
		},
		"a body without end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, encryptedAccount(), 2, func(f *fleet) { f.patience = time.Second })
			request := f.messageOf(t, f.pods[1], f.pods...)
			f.pods[1].replace(t, says)
			f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
			f.expectOnce(t)
		})
	}
}

// TestAnOwnerThatIsBehind has other credentials: the pod that could verify the message delivers it.
func TestAnOwnerThatIsBehind(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	request := f.messageOf(t, f.pods[1], f.pods...)
	behind := f.pods[1]
	behind.writeDocument(t, func() config.Config { c := f.document.Config; c.Generation = "g-0"; return c }(), config.Credentials{
		GatewayKey: f.document.Credentials.GatewayKey, Pairs: []config.Pair{{Generation: 1, Token: "another-token", EncodingAESKey: aesKey}},
	})
	behind.awaitGeneration(t, "g-0")
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], request))
	f.expectOnce(t)
	if got := f.pods[0].handovers(t, "refused"); got != 1 {
		t.Errorf("%v were refused, want 1", got)
	}
	if got := behind.metric(t, `wechat_sidecar_refused_total{reason="bad_signature"}`); got != 0 {
		t.Errorf("it counts a forgery")
	}
}

// TestWhatIsNotHandedOver: what nobody has verified, what is for this very pod, and what nobody remembers.
func TestWhatIsNotHandedOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		account account
		edit    func(*fleet)
		request func(t *testing.T, f *fleet) *caller.Request
		status  int
	}{
		"a forgery": {account: encryptedAccount(), status: http.StatusForbidden, request: func(t *testing.T, f *fleet) *caller.Request {
			t.Helper()
			return f.newMessage(t, wechattest.WithToken("forged-token"))
		}},
		"a forgery in an audit": {account: plaintextAccount(), status: http.StatusOK, request: func(t *testing.T, f *fleet) *caller.Request {
			t.Helper()
			return f.newMessage(t, wechattest.WithToken("forged-token"))
		}, edit: func(f *fleet) {
			until := time.Now().Add(time.Hour)
			f.document.AuditUntil, f.document.Backend.Payload = &until, config.PayloadOriginal
		}},
		"the operator's message": {account: encryptedAccount(), status: http.StatusOK, request: func(t *testing.T, f *fleet) *caller.Request {
			t.Helper()
			request, err := f.sender(f.pods[0]).NewPost([]byte("<xml><InfoType>"+config.ProbeInfoType+"</InfoType></xml>"), wechattest.WithNonce(config.ProbeNoncePrefix+"1"))
			if err != nil {
				t.Fatal(err)
			}
			return request
		}},
		"the operator's URL check in plaintext mode": {account: plaintextAccount(), status: http.StatusOK, request: func(t *testing.T, f *fleet) *caller.Request {
			t.Helper()
			request, err := f.sender(f.pods[0]).NewURLCheck(wechattest.WithNonce(config.ProbeNoncePrefix + "1"))
			if err != nil {
				t.Fatal(err)
			}
			return request
		}},
		"a URL check in encrypted mode": {account: encryptedAccount(), status: http.StatusOK, request: func(t *testing.T, f *fleet) *caller.Request {
			t.Helper()
			request, err := f.sender(f.pods[0]).NewURLCheck()
			if err != nil {
				t.Fatal(err)
			}
			return request
		}},
		"what is discarded in encrypted mode": {account: encryptedAccount(), status: http.StatusOK, request: func(t *testing.T, f *fleet) *caller.Request {
			t.Helper()
			return f.newMessage(t)
		}, edit: func(f *fleet) {
			f.document.Rules = []config.Rule{{Match: config.Match{MsgType: "text"}, Action: config.ActionDiscard}}
		}},
		"a message of an endpoint without a gateway key": {account: encryptedAccount(), status: http.StatusOK, request: func(t *testing.T, f *fleet) *caller.Request {
			t.Helper()
			return f.newMessage(t)
		}, edit: func(f *fleet) { f.document.Credentials.GatewayKey = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, test.account, 2, test.edit)
			f.pods[0].list(f.pods[1].address) // which then owns everything
			f.pods[0].awaitLook(t)
			f.pods[1].second.kill()
			var got []int
			for range 2 {
				got = append(got, f.send(t, f.pods[0], test.request(t, f)).Status)
			}
			if diff := cmp.Diff([]int{test.status, test.status}, got); diff != "" {
				t.Error(diff)
			}
			for _, result := range []string{"answered", "unreachable", "late", "refused"} {
				if got := f.pods[0].handovers(t, result); got != 0 {
					t.Errorf("%v %s", got, result)
				}
			}
		})
	}
}

// TestWhoPlaysWeChatIsToldByWhicheverPod what became of the message, whichever pod owns it.
func TestWhoPlaysWeChatIsToldByWhicheverPod(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	request := f.newMessage(t, wechattest.WithNonce(config.TrialNoncePrefix+"1"))
	var told []string
	for _, pod := range f.pods {
		answer := f.send(t, pod, request)
		what, _, _ := strings.Cut(answer.Header.Get(outcome.Header), "; milliseconds")
		told = append(told, what)
		if answer.Status != http.StatusBadGateway {
			t.Errorf("answered %d", answer.Status)
		}
	}
	if told[0] == "" || told[0] != told[1] {
		t.Errorf("they tell %q", told)
	}
}

// TestLargeOnesAreHandedOver, messages and replies: what is long takes room, and all of it is given back.
func TestLargeOnesAreHandedOver(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 2, nil)
	long := "<xml><Content>" + strings.Repeat("a", 900<<10) + "</Content></xml>"
	reply := "<xml><Content>" + strings.Repeat("a", 40<<10) + "</Content></xml>"
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, reply) })
	for range 40 { // all of them together are more than there is room for at once
		request, err := f.sender(f.pods[0]).NewPost([]byte(long))
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range f.pods {
			if answer := f.send(t, pod, request); answer.Status != http.StatusOK || string(answer.Body) != reply {
				t.Fatalf("answered %d with %d bytes", answer.Status, len(answer.Body))
			}
		}
	}
	if f.pods[0].handovers(t, "answered") == 0 {
		t.Error("nothing was handed over")
	}
}

// TestAnswersGiveTheirRoomBack: all of them together are more than there is room for at once.
func TestAnswersGiveTheirRoomBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 2, func(f *fleet) { f.memory = 24 << 20 }) // 6 MiB for bodies and replies
	reply := "<xml><Content>" + strings.Repeat("a", 60<<10) + "</Content></xml>"
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, reply) })
	for n := range 150 {
		if answer := f.send(t, f.pods[0], f.messageOf(t, f.pods[1], f.pods...)); answer.Status != http.StatusOK || string(answer.Body) != reply {
			t.Fatalf("message %d is answered %d with %d bytes", n, answer.Status, len(answer.Body))
		}
	}
	if got := f.pods[0].handovers(t, "answered"); got != 150 {
		t.Errorf("%v were handed over, want 150", got)
	}
}
