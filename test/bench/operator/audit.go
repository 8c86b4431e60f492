// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// request is one of the operator's, as the API server logged it.
type request struct {
	Verb      string
	UserAgent string
	ObjectRef struct{ Resource, Subresource, Namespace, Name string }
	Stage     string
	At        time.Time `json:"requestReceivedTimestamp"`
}

// auditSettles is how long the API server may hold lines back, and some more.
const auditSettles = 2 * time.Second

// requests reads the operator's requests since then, without watches, leases and events.
func (b *bench) requests(since time.Time) ([]request, error) {
	time.Sleep(auditSettles)
	file, err := os.Open(b.auditLog())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []request
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if r.Stage != "ResponseComplete" || !strings.HasPrefix(r.UserAgent, "operator/") || r.At.Before(since) || r.Verb == "watch" ||
			slices.Contains([]string{"leases", "events", ""}, r.ObjectRef.Resource) {
			continue
		}
		found = append(found, r)
	}
	return found, lines.Err()
}

func (r request) writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb)
}

// setsStatus reports whether the request stores an endpoint's status.
func (r request) setsStatus() bool {
	return r.ObjectRef.Resource == "wechatendpoints" && r.ObjectRef.Subresource == "status"
}
