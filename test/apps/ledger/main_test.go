// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/test/chaos"
)

// TestTheKeeperOutlivesTheApps: what two apps have noted is counted in one place, and an app answers only what was noted.
func TestTheKeeperOutlivesTheApps(t *testing.T) {
	keeper := httptest.NewServer(newKeeper(chaos.NewLedger(loads, numbers)))
	defer keeper.Close()
	for range 2 {
		app := httptest.NewServer(newApp(keeper.URL))
		sender := caller.Sender{URL: app.URL + "/weixin", Token: "unused"}
		for _, text := range []string{"chaos a 1", "hello"} {
			answer, err := sender.Text(t.Context(), "oUser", text)
			if reply, refusal := diagnose.Message(answer, err); refusal != nil || reply.Content != chaos.Reply(text) {
				t.Errorf("%q is answered %+v, %v", text, reply, refusal)
			}
		}
		app.Close()
	}
	response, err := http.Get(keeper.URL + "/seen")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got chaos.Seen
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := chaos.Seen{Counts: map[string][]byte{"a": {0, 2}}, Strange: map[string]int{"": 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnAppAnswersOnlyWhatWasNoted(t *testing.T) {
	for name, keeper := range map[string]http.HandlerFunc{
		"the keeper fails": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"the keeper ends":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			k := httptest.NewServer(keeper)
			defer k.Close()
			app := httptest.NewServer(newApp(k.URL))
			defer app.Close()
			sender := caller.Sender{URL: app.URL + "/weixin", Token: "unused"}
			if answer, err := sender.Text(t.Context(), "oUser", "chaos a 1"); err != nil || answer.Status != http.StatusServiceUnavailable {
				t.Errorf("answered %d, %v", answer.Status, err)
			}
		})
	}
}

func TestATextIsBounded(t *testing.T) {
	keeper := httptest.NewServer(newKeeper(chaos.NewLedger(loads, numbers)))
	defer keeper.Close()
	response, err := http.Post(keeper.URL+"/note", "", strings.NewReader(strings.Repeat("a", maxText+1)))
	if err != nil || response.StatusCode != http.StatusBadRequest {
		t.Errorf("a longer one: %v, %v", response, err)
	}
}
