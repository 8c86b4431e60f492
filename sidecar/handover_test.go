// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// newMessage is one that the app has not seen.
func (f *fleet) newMessage(t *testing.T, n int) *caller.Request {
	t.Helper()
	request, err := f.sender(f.pods[0]).NewPost([]byte(strings.Replace(f.kind.message, "hi", fmt.Sprint("private words, ", n), 1)))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// TestAMessageReachesTheAppOnceOnAnyPods: its repeats come at once to different pods, each gets the reply, and the app sees it once.
func TestAMessageReachesTheAppOnceOnAnyPods(t *testing.T) {
	t.Parallel()
	for kind, a := range accounts() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, a, 3, nil)
			f.app.answers(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(50 * time.Millisecond)
				_, _ = io.WriteString(w, a.reply+a.answered)
			})
			const messages = 10
			for n := range messages {
				request := f.newMessage(t, n)
				var senders sync.WaitGroup
				for _, pod := range f.pods {
					senders.Go(func() {
						sender := f.sender(pod)
						answer, err := sender.Send(t.Context(), request)
						if err != nil {
							t.Error(err)
							return
						}
						expectReply(t, a, sender, answer)
					})
				}
				senders.Wait()
			}
			if got := f.app.count(); got != messages {
				t.Errorf("the app saw %d messages, want %d", got, messages)
			}
			var answered, all float64
			for _, pod := range f.pods {
				answered += pod.handovers(t, "answered")
				all += pod.metric(t, `wechat_sidecar_callbacks_total{outcome="answered"}`)
			}
			if answered != 2*messages || all != 3*messages {
				t.Errorf("%v callbacks were handed over and %v counted", answered, all)
			}
		})
	}
}
