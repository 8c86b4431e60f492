// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"
)

// maxEntries bounds the messages that are kept whole.
const maxEntries = 50

// diary is the answer of /seen.
type diary struct {
	// Count is how many messages came, repeats included.
	Count int `json:"count"`
	// Distinct is how many different messages came, by X-WeChat-Delivery-Id.
	Distinct int `json:"distinct"`
	// Messages are the last ones, oldest first.
	Messages []entry `json:"messages"`

	deliveries map[string]bool
}

type entry struct {
	Path    string `json:"path"`
	Query   string `json:"query"`
	MsgID   string `json:"msgID"`
	Type    string `json:"type"`
	Content string `json:"content"`
	// Headers are those that the sidecar sets, X-WeChat-….
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (d *diary) add(r *http.Request, received message, body []byte) {
	headers := map[string]string{}
	for name := range r.Header {
		if strings.HasPrefix(strings.ToLower(name), "x-wechat-") {
			headers[name] = r.Header.Get(name)
		}
	}
	if d.deliveries == nil {
		d.deliveries = map[string]bool{}
	}
	d.deliveries[r.Header.Get("X-WeChat-Delivery-Id")] = true
	d.Count++
	d.Distinct = len(d.deliveries)
	d.Messages = append(d.Messages, entry{
		Path: r.URL.Path, Query: r.URL.RawQuery, MsgID: received.MsgID, Type: received.MsgType, Content: received.Content, Headers: headers, Body: string(body),
	})
	if len(d.Messages) > maxEntries {
		d.Messages = d.Messages[1:]
	}
}
