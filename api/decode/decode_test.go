// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// object has a field of every type that the API has.
type object struct {
	Text      string                       `json:"text,omitempty"`
	Flag      bool                         `json:"flag,omitempty"`
	Small     *int32                       `json:"small,omitempty"`
	Big       int64                        `json:"big,omitempty"`
	Port      intstr.IntOrString           `json:"port,omitempty,omitzero"`
	Time      *metav1.Time                 `json:"time,omitempty"`
	Duration  *metav1.Duration             `json:"duration,omitempty"`
	Quantity  *resource.Quantity           `json:"quantity,omitempty"`
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	Affinity  *corev1.Affinity             `json:"affinity,omitempty"`
	List      []inner                      `json:"list,omitempty"`
	Map       map[string]string            `json:"map,omitempty"`
	Bytes     []byte                       `json:"bytes,omitempty"`
	Hidden    string                       `json:"-"`
	embedded  `json:",inline"`
}

type embedded struct {
	Within string `json:"within,omitempty"`
}

type inner struct {
	Name  string `json:"name,omitempty"`
	Count int32  `json:"count,omitempty"`
}

// TestWhatCannotBeReadIsNamedAndLeftOut: every other field is read as if it were alone.
func TestWhatCannotBeReadIsNamedAndLeftOut(t *testing.T) {
	for text, want := range map[string][]string{
		`{"text":"a"}`: nil,
		`{"text":null,"time":null,"quantity":null}`:   nil,
		`{"unknown":1e999,"-":1}`:                     nil,
		`{"Text":1}`:                                  nil, // another field, as for every API server
		`{"text":1}`:                                  {"spec.text is no text"},
		`{"flag":"true"}`:                             {"spec.flag is no true or false"},
		`{"small":3000000000}`:                        {"spec.small is no whole number of 32 bits"},
		`{"big":10000000000000000000}`:                {"spec.big is no whole number of 64 bits"},
		`{"big":1e19}`:                                {"spec.big is no whole number of 64 bits"},
		`{"port":3000000000}`:                         {"spec.port is no number or name"},
		`{"port":8080.5}`:                             {"spec.port is no number or name"},
		`{"time":"9999-12-31T23:59:59-23:59"}`:        {"spec.time is no time such as 2026-01-31T12:00:00Z"},
		`{"time":"0000-01-01T00:00:00+23:59"}`:        {"spec.time is no time such as 2026-01-31T12:00:00Z"},
		`{"time":"2026-01-31"}`:                       {"spec.time is no time such as 2026-01-31T12:00:00Z"},
		`{"time":1}`:                                  {"spec.time is no time such as 2026-01-31T12:00:00Z"},
		`{"duration":"1d"}`:                           {"spec.duration is no duration such as 24h or 4500ms"},
		`{"quantity":"1e1.5"}`:                        {"spec.quantity is no quantity such as 64Mi or 100m"},
		`{"quantity":"12345678901234567890e1000000"}`: {"spec.quantity is no quantity such as 64Mi or 100m"},
		`{"resources":{"limits":{"cpu":"1","memory":"+.5e.5","a":"1e1e"}}}`: {
			"spec.resources.limits.a is no quantity such as 64Mi or 100m", "spec.resources.limits.memory is no quantity such as 64Mi or 100m",
		},
		`{"affinity":{"podAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":3000000000}]}}}`: {
			"spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight is no whole number of 32 bits",
		},
		`{"affinity":[]}`:                       {"spec.affinity is no object"},
		`{"list":{}}`:                           {"spec.list is no list"},
		`{"list":[{"name":"a"},{"count":1.5}]}`: {"spec.list[1].count is no whole number of 32 bits"},
		`{"map":[]}`:                            {"spec.map is no map"},
		`{"map":{"b":2,"a":1}}`:                 {"spec.map.a is no text", "spec.map.b is no text"},
		`{"bytes":"%"}`:                         {"spec.bytes is no "},
		`{"within":1}`:                          {"spec.within is no text"},
		`[]`:                                    {"spec is no object"},
		`7`:                                     {"spec is no object"},
	} {
		var got object
		if diff := cmp.Diff(want, Object("spec", []byte(text), &got, Limits{})); diff != "" {
			t.Errorf("%s: problems -want +got:\n%s", text, diff)
		}
		if want != nil && got.List != nil || want != nil && got.Map != nil {
			t.Errorf("%s: a part of a list or a map is kept: %v %v", text, got.List, got.Map)
		}
		other := strings.TrimSuffix(text, "}") + `,"bytes":"YQ==","text":"b"}`
		if strings.HasPrefix(text, "{") && !strings.Contains(text, "bytes") && !strings.Contains(text, `"text"`) {
			got = object{}
			Object("spec", []byte(other), &got, Limits{})
			if got.Text != "b" || string(got.Bytes) != "a" {
				t.Errorf("%s: what stands beside it is lost: %+v", other, got)
			}
		}
	}
}

// TestWhatCanBeReadIsReadAsByTheStandardDecoder: for what both can read, they agree.
func TestWhatCanBeReadIsReadAsByTheStandardDecoder(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"text":"a\u4fe1\n","flag":true,"small":-1,"big":9007199254740993,"port":8080,"time":"2026-01-31T12:00:00.5+08:00","duration":"4500ms"}`,
		`{"port":"web","quantity":"64Mi","resources":{"limits":{"cpu":1,"memory":"1.5Gi"},"requests":{"cpu":"100m"},"claims":[{"name":"a"}]}}`,
		`{"quantity":"1e3","list":[{"name":"a","count":1},{}],"map":{"a":"b"},"bytes":"YQ==","within":"c"}`,
		`{"list":[],"map":{},"resources":{},"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}}}}`,
	} {
		var want, got object
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if problems := Object("spec", []byte(text), &got, Limits{}); problems != nil {
			t.Errorf("%s: %v", text, problems)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(object{}, embedded{})); diff != "" {
			t.Errorf("%s: -standard +field by field:\n%s", text, diff)
		}
	}
}

func TestLimits(t *testing.T) {
	limits := Limits{FieldBytes: 100, Values: 20}
	for text, want := range map[string]string{
		`{"text":"` + strings.Repeat("a", 98) + `"}`:                                    "",
		`{"text":"` + strings.Repeat("a", 99) + `"}`:                                    "spec.text has 101 bytes, of which at most 100 are read",
		`{"list":[` + strings.Repeat("{},", 20) + `{}]}`:                                "spec.list has 21 items: at most 20 values are read of one object",
		`{"list":[` + strings.Repeat("{},", 18) + `{}],"text":"a"}`:                     "spec.list[18] is one value too many: at most 20 values are read of one object",
		`{"list":[` + strings.Repeat("{},", 17) + `{}],"text":"a"}`:                     "",
		`{"map":{"a":"` + strings.Repeat("a", 120) + `"}}`:                              "spec.map has 128 bytes, of which at most 100 are read",
		`{"list":[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"}]}`:                "",
		`{"affinity":{"nodeAffinity":{}},"list":[` + strings.Repeat("{},", 20) + `{}]}`: "spec.list has 21 items: at most 20 values are read of one object",
	} {
		var got object
		if problems := strings.Join(Object("spec", []byte(text), &got, limits), "; "); problems != want {
			t.Errorf("%s: %q, want %q", text, problems, want)
		}
	}
}

// TestTheProblemsAreFewAndShort: what is told of an object stays in memory as long as the object does.
func TestTheProblemsAreFewAndShort(t *testing.T) {
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `,"%s%d":1`, strings.Repeat("信", 1000), i)
	}
	var got object
	problems := Object("spec", []byte(`{"map":{"a":"b"`+many.String()+`},"list":[{"count":1.5}],"text":"b"}`), &got, Limits{})
	if size := len(strings.Join(problems, "")); len(problems) != 5 || size > 10_000 || !utf8.ValidString(problems[1]) {
		t.Errorf("%d problems of %d bytes are told", len(problems), size)
	}
	if got.Map != nil || got.List != nil || got.Text != "b" {
		t.Errorf("kept is %+v", got)
	}
}

// TestAQuantityIsReadInNoTime: what takes ParseQuantity minutes, or all the memory, is not given to it.
func TestAQuantityIsReadInNoTime(t *testing.T) {
	for _, text := range []string{
		"12345678901234567890e1000000000", "12345678901234567890e-1000000000", "12345678901234567890e999999", "1e100", "1e-2147483648",
		"0." + strings.Repeat("0", 1<<20) + "1", strings.Repeat("9", 1<<20), "1e" + strings.Repeat("9", 1<<20), strings.Repeat("9", 20) + "e99",
	} {
		began := time.Now()
		var got object
		Object("spec", []byte(`{"quantity":"`+text+`"}`), &got, Limits{})
		if got.Quantity != nil {
			_, _, _ = got.Quantity.String(), got.Quantity.Value(), got.Quantity.Cmp(resource.MustParse("1"))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.40s took %v", text, took)
		}
	}
}

func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{"time":"2026-12-01T12:00:00,5Z"}`, `{"quantity":"1E9"}`, `{"quantity":1e3}`, `{"duration":"+1s"}`, `{"port":"8080"}`, `{"small":-0}`, `{"map":{"":""}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got object
		if Object("spec", data, &got, Limits{FieldBytes: 1 << 16, Values: 1 << 10}) != nil {
			return
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatalf("%s is read, and cannot be written: %v", data, err)
		}
		var again object
		if problems := Object("spec", text, &again, Limits{}); problems != nil {
			t.Fatalf("%s is read, and written as %s, which cannot be read: %v", data, text, problems)
		}
	})
}
