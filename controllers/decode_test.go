// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// TestWhatTheAPIServerTakesIsRead draws values for every field of the CRD's spec and status, offers each to the CRD, and reads
// what it takes as the operator does. The API server judges by the schema and the operator by Go's types: what lies between them would be
// an endpoint that nobody serves.
func TestWhatTheAPIServerTakesIsRead(t *testing.T) {
	o := newOffers(t)
	for _, part := range []string{"spec", "status"} {
		fields := fieldsOf(partSchema(t, part), part)
		if len(fields) < 20 {
			t.Fatalf("the CRD's %s has %d fields, it had more: %v", part, len(fields), slices.Collect(maps.Keys(fields)))
		}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			for _, value := range append(drawn(field, fields[field]), asItIs(t, field, fields[field])) {
				o.offer(part, field, value)
			}
		}
	}
	o.wait(t)
	fmt.Printf("decode: %d accepted specs, %d undecodable (%d statuses accepted, %d values offered)\n",
		o.accepted["spec"].Load(), len(o.unread), o.accepted["status"].Load(), o.offered.Load())
	for _, unread := range o.unread {
		t.Error(unread)
	}
	if o.accepted["spec"].Load() < 500 || o.accepted["status"].Load() < 100 {
		t.Error("hardly anything was accepted")
	}
	for _, field := range o.barren() {
		t.Errorf("no value of %s is accepted: draw others", field)
	}
}

// offers are values for single fields of an endpoint that is good otherwise, offered some at a time.
type offers struct {
	crd      *definition
	schemas  map[string]map[string]any
	accepted map[string]*atomic.Int64
	offered  atomic.Int64
	group    errgroup.Group

	mu     sync.Mutex
	unread []string
	taken  map[string]bool // the fields of which a value was accepted, and the others
}

func newOffers(t *testing.T) *offers {
	t.Helper()
	o := &offers{
		crd: newDefinition(t), taken: map[string]bool{},
		schemas:  map[string]map[string]any{"spec": partSchema(t, "spec"), "status": partSchema(t, "status")},
		accepted: map[string]*atomic.Int64{"spec": {}, "status": {}},
	}
	o.group.SetLimit(8)
	return o
}

func (o *offers) offer(part, field, value string) {
	o.offered.Add(1)
	o.group.Go(func() error {
		object := complete(field)
		path := strings.Split(field, ".")[1:]
		object[part] = withValue(o.schemas[part], object[part], path, json.RawMessage(value))
		answer, err := o.ask(object)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.taken[field] = o.taken[field] || err == nil
		if err != nil {
			return nil //nolint:nilerr // it is refused, as it should be
		}
		o.accepted[part].Add(1)
		if problem := inTime(func() error { return readAsTheOperator(answer) }); problem != nil {
			o.unread = append(o.unread, fmt.Sprintf("%s: %.100s is accepted: %v", field, value, problem))
		}
		return nil
	})
}

// ask offers the object, read as an API server reads it.
func (o *offers) ask(object map[string]any) ([]byte, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var read map[string]any
	if err := utiljson.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	stored, err := o.crd.store(read, nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(stored)
}

func (o *offers) wait(t *testing.T) {
	t.Helper()
	if err := o.group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// barren are the fields of which no value was accepted.
func (o *offers) barren() []string {
	var fields []string
	for field, taken := range o.taken {
		if !taken {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return fields
}

// inTime gives up on what takes long: there are quantities that take minutes to read.
func inTime(read func() error) error {
	done := make(chan error, 1)
	go func() { done <- read() }()
	select {
	case err := <-done:
		return err
	case <-time.After(5 * time.Second):
		return errors.New("reading it takes more than 5 s")
	}
}

// readAsTheOperator reads an object, and says what keeps it from being served as it stands.
func readAsTheOperator(text []byte) error {
	var endpoint, again v1alpha1.WeChatEndpoint
	if err := json.Unmarshal(text, &endpoint); err != nil {
		return err
	}
	if problems := slices.Concat(endpoint.Spec.Unreadable, endpoint.Status.Unreadable); problems != nil {
		return errors.New(strings.Join(problems, "; "))
	}
	written, err := json.Marshal(endpoint)
	if err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	if err := json.Unmarshal(written, &again); err != nil {
		return fmt.Errorf("reading what was written: %w", err)
	}
	if rewritten, err := json.Marshal(again); err != nil || string(rewritten) != string(written) {
		return fmt.Errorf("it is written as %s, and then as %s (%w)", written, rewritten, err)
	}
	if _, err := render.Template(render.Input{Endpoint: &endpoint, Installed: render.Installed{Image: "example.com/sidecar:1"}}); err != nil {
		return err
	}
	return nil
}

// partSchema is what the CRD says of the spec or the status.
func partSchema(t *testing.T, part string) map[string]any {
	t.Helper()
	var definition unstructured.Unstructured
	readDefinition(t, &definition.Object)
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	schema, found, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", part)
	if err != nil || !found {
		t.Fatalf("the CRD has no %s: %v", part, err)
	}
	return schema
}

// fieldsOf are all fields below a schema, with their schemas, by their paths as withValue takes them.
func fieldsOf(schema map[string]any, path string) map[string]map[string]any {
	fields := map[string]map[string]any{path: schema}
	for name, property := range mapOf(schema["properties"]) {
		maps.Copy(fields, fieldsOf(mapOf(property), path+"."+name))
	}
	if items := mapOf(schema["items"]); items != nil {
		maps.Copy(fields, fieldsOf(items, path+"[]"))
	}
	if values := mapOf(schema["additionalProperties"]); values != nil {
		maps.Copy(fields, fieldsOf(values, path+"{}"))
	}
	return fields
}

// Values, as JSON, that no reader may trip over, by the types of fields that they are drawn for. Each was once taken by some reader
// and refused by another, or stands at the edge of what a type holds.
var (
	oddAnywhere = []string{`null`, `true`, `"a"`, `1`, `-1`, `1.5`, `[]`, `[null]`, `{}`, `""`, `"null"`, `"\u0000"`, `"\ud800"`, `"微信"`}
	oddNumbers  = []string{
		`0`, `-0`, `1.0`, `1e2`, `100`, `2147483647`, `2147483648`, `3000000000`, `-2147483649`, `9007199254740993`, `9223372036854775807`,
		`9223372036854775808`, `1e18`, `1e19`, `1e308`, `10000000000000000000`, `"1"`, `0.1e1`,
	}
	oddTimes = []string{
		`"2026-12-01T12:00:00Z"`, `"2026-12-01T12:00:00,5Z"`, `"9999-12-31T23:59:59-23:59"`, `"0000-01-01T00:00:00+23:59"`, `"0001-01-01T00:00:00Z"`,
		`"8999-12-31T23:59:59-23:59"`, `"1000-01-01T00:00:00+23:59"`, `"2026-12-01t12:00:00z"`, `"2026-12-01 12:00:00Z"`, `"2026-12-01T12:00:00"`, `"2026-12-01T12:00:00+0800"`, `"2026-12-01"`,
		`"2026-12-01T12:00:60Z"`, `"2026-12-01T24:00:00Z"`, `"2026-02-30T12:00:00Z"`, `"2026-12-01T12:00:00.1234567890Z"`, `"2026-12-01T12:00:00.123456789+08:00"`,
		`"2026-12-01T1:00:00Z"`, `"2026-12-01T12:00:00+24:00"`, `"2026-12-01T12:00:00+08:60"`, `"10000-01-01T00:00:00Z"`, `"-001-01-01T00:00:00Z"`, `"2026-12-01T12:00:00.Z"`,
	}
	oddDurations = []string{
		`"24h"`, `"30m"`, `"1s"`, `"4500ms"`, `"+1s"`, `"-1s"`, `"1m_"`, `"1d"`, `"0"`, `".5s"`, `"1.s"`, `"1e3s"`, `"1µs1s"`, `"1μs1s"`, `"1us1s"`, `"9999999h"`, `"1h1h1h"`,
		`"1000000000ns"`, `"0.0000001h"`, `"1S"`, `" 1s"`, `"1s "`, `"1 s"`, `"1m0.5s"`, `"0x1s"`,
	}
	oddQuantities = []string{
		`1`, `64`, `"64Mi"`, `"100m"`, `"1e1.5"`, `"+.5e.5"`, `"1e99999999999999999999"`, `"1e3"`, `"1E3"`, `"1E"`, `"1e"`, `"1e+3"`, `"1e-3"`, `"+1"`, `"-1"`, `".5"`, `"1."`, `"1.Gi"`,
		`"0.00000000000000000001"`, `"99999999999999999999Ei"`, `"99999999999999999999e99"`, `"12345678901234567890e1000000"`, `"1e2147483648"`, `"1Ki"`, `"1ki"`, `"1K"`, `"1n"`,
		`"1u"`, `"1mm"`, `"1 "`, `" 1"`, `"1_0"`, `"0x10"`, `"1,5"`, `"١"`, `"1E9E"`, `9007199254740993`, `1e18`, `1e30`, `"00000000000000000001"`, `"1.1.1"`, `"1i"`, `"--1"`, `"+"`,
	}
	oddPorts = []string{`8080`, `8080.0`, `8080.5`, `"web"`, `"8080"`, `0`, `-1`, `65535`, `65536`, `3000000000`, `1e19`, `8.08e3`, `"http-0"`}
)

// drawn are the values that are offered for a field: those of its type, those of any other, and some at random.
func drawn(field string, schema map[string]any) []string {
	random := rand.New(rand.NewPCG(11, uint64(len(field))))
	values := slices.Clone(oddAnywhere)
	for _, allowed := range listOf(schema["enum"]) {
		values = append(values, fmt.Sprintf("%q", allowed))
	}
	switch {
	case schema["x-kubernetes-int-or-string"] == true && strings.HasSuffix(field, "{}"):
		values = append(append(values, oddQuantities...), someOf(random, "0123456789.eE+-KMGTPEimnuk", 60)...)
	case schema["x-kubernetes-int-or-string"] == true:
		values = append(append(values, oddPorts...), someOf(random, "0123456789abc-", 20)...)
	case schema["type"] == "integer":
		values = append(values, oddNumbers...)
	case schema["format"] == "date-time":
		values = append(append(values, oddTimes...), mutated(random, "2026-12-01T12:00:00.5+08:00", "0123456789-:TZ.,+ ", 40)...)
	case schema["maxLength"] == int64(16):
		values = append(append(values, oddDurations...), mutated(random, "1h2m3.5s", "0123456789.hmsnuµ+- ", 40)...)
	}
	return values
}

// complete is an endpoint of which every section is there, so that a field of any of them can be another one. Of the sections for the route
// it has that of the field.
func complete(field string) map[string]any {
	var endpoint map[string]any
	text := `{"apiVersion": "wechatendpoint.io/v1alpha1", "kind": "WeChatEndpoint", "metadata": {"name": "another"}, "spec": {
		"platform": "OfficialAccount", "appID": "wx1", "messageMode": "Encrypted", "receiverIDs": ["wx1"],
		"credentials": {"secretName": "shop-wechat", "overlap": "1h", "revokeBefore": 1},
		"url": {"host": "wx.example.com", "path": "/weixin", "query": "id=5", "scheme": "https", "exposure": "Ingress",
			"ingress": {"className": "any", "tlsSecretName": "tls", "annotations": {"cpu": "a"}}},
		"backend": {"service": {"name": "app", "namespace": "team-b", "port": "web"}, "path": "/a", "deadline": "1s", "payload": "Original", "onDeadline": "Fail",
			"tls": {"caBundle": "-----BEGIN CERTIFICATE-----", "serverName": "app.example.com"}},
		"rules": [{"match": {"msgType": "event", "event": "b"}, "action": "Forward", "backend": {
			"service": {"name": "app", "namespace": "team-b", "port": "web"}, "path": "/a", "deadline": "1s", "payload": "Original", "onDeadline": "Fail",
			"tls": {"caBundle": "-----BEGIN CERTIFICATE-----", "serverName": "app.example.com"}}}],
		"domainFiles": [{"name": "MP_verify_a.txt", "content": "a"}],
		"verification": {"freshness": "5m", "enforcement": "InsecureAudit", "auditUntil": "2026-12-01T12:00:00Z"},
		"sidecar": {"replicas": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 50},
			"imageVersion": "1", "priorityClassName": "high", "imagePullSecrets": [{"name": "a"}], "nodeSelector": {"cpu": "a"},
			"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}, "tolerations": [{"key": "a"}]}},
	"status": {
		"url": "https://wx.example.com/weixin", "backend": "app:80", "observedGeneration": 1,
		"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-12-01T12:00:00Z"}],
		"rollout": {"since": "2026-12-01T12:00:00Z", "template": "a"},
		"fleet": {"leadsTo": "a-sidecar", "since": "2026-12-01T12:00:00Z", "former": "b-wechat-gateway", "verified": "c-wechat-gateway"},
		"credentials": {"generation": 1, "accepted": [{"generation": 1, "firstUsed": "2026-12-01T12:00:00Z"}]}}}`
	if strings.HasPrefix(field, "spec.url.httpRoute") {
		text = strings.Replace(text, `"exposure": "Ingress"`, `"exposure": "HTTPRoute"`, 1)
		text = strings.Replace(text, `"ingress": {"className": "any", "tlsSecretName": "tls", "annotations": {"cpu": "a"}}`, `"httpRoute": {"parentRefs": [{"name": "edge"}]}`, 1)
	}
	if field == "spec.url.port" || strings.HasSuffix(field, ".infoType") { // what only WeCom has
		text = strings.Replace(text, "OfficialAccount", "WeCom", 1)
		text = strings.Replace(text, `"msgType": "event", "event": "b"`, `"infoType": "c"`, 1)
		text = strings.Replace(text, `"scheme": "https"`, `"port": 8443, "scheme": "https"`, 1)
	}
	if err := json.Unmarshal([]byte(text), &endpoint); err != nil {
		panic(err) // a constant
	}
	if spec := mapOf(endpoint["spec"]); strings.HasPrefix(field, "spec.gateway") {
		delete(spec, "sidecar")
		spec["gateway"] = map[string]any{"name": "front"}
	}
	return endpoint
}

// asItIs is the value that the field has in a complete endpoint, or else some of its schema.
func asItIs(t *testing.T, field string, schema map[string]any) string {
	t.Helper()
	var node any = complete(field)
	for _, name := range strings.Split(field, ".") {
		inList, inMap := strings.HasSuffix(name, "[]"), strings.HasSuffix(name, "{}")
		node = mapOf(node)[strings.TrimRight(name, "[]{}")]
		if list := listOf(node); inList && len(list) > 0 {
			node = list[0]
		}
		if inMap {
			node = mapOf(node)["cpu"]
		}
	}
	if node == nil {
		node = anyOf(schema)
	}
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// someOf are texts of these characters, and mutated are such in which some characters of a good one are others.
func someOf(random *rand.Rand, alphabet string, count int) []string {
	var values []string
	for range count {
		text := make([]byte, 1+random.IntN(8))
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		values = append(values, fmt.Sprintf("%q", text))
	}
	return values
}

func mutated(random *rand.Rand, good, alphabet string, count int) []string {
	var values []string
	characters := []rune(alphabet)
	for range count {
		text := []rune(good)
		for range 1 + random.IntN(2) {
			text[random.IntN(len(text))] = characters[random.IntN(len(characters))]
		}
		values = append(values, fmt.Sprintf("%q", string(text)))
	}
	return values
}

func listOf(node any) []any {
	list, _ := node.([]any)
	return list
}
