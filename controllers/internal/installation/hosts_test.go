// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHosts(t *testing.T) {
	hosts := Hosts{
		"wx.example.com": {"team-a"}, "*.example.com": {"team-b"}, "*.deep.example.com": {"team-c"}, "*": {"*"}, "": {"seed"},
	}
	for host, want := range map[string]string{
		"wx.example.com": "team-a", "a.example.com": "team-b", "a.b.example.com": "team-b", "a.deep.example.com": "team-c",
		"deep.example.com": "team-b", "example.com": "*", "other.org": "*", "notexample.com": "*", "localhost": "*", "": "seed",
	} {
		if got := strings.Join(hosts.namespaces(host), ","); got != want {
			t.Errorf("%q belongs to %s, want %s", host, got, want)
		}
	}
	few := Hosts{"wx.example.com": {"team-a"}}
	for _, host := range []string{"example.com", "a.wx.example.com", "localhost", ""} {
		if got := few.namespaces(host); got != nil {
			t.Errorf("%q belongs to %v, and the map does not name it", host, got)
		}
	}
}

func TestHostsAreValidated(t *testing.T) {
	for name, test := range map[string]struct {
		hosts Hosts
		want  string // part of the error; empty for none
	}{
		"hosts of teams":          {Hosts{"wx.example.com": {"team-a", "team-b"}, "*.example.com": {"*"}, "*": {"*"}, "": {"seed"}}, ""},
		"a host in capitals":      {Hosts{"WX.example.com": {"team-a"}}, "in lower case"},
		"a host with a port":      {Hosts{"wx.example.com:80": {"team-a"}}, "in lower case"},
		"a wildcard in between":   {Hosts{"wx.*.com": {"team-a"}}, "in lower case"},
		"a wildcard for a part":   {Hosts{"*wx.example.com": {"team-a"}}, "in lower case"},
		"nobody's host":           {Hosts{"wx.example.com": {}}, "has no namespace"},
		"a namespace that is not": {Hosts{"wx.example.com": {"Team A"}}, "name of a namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.hosts.validate()
			if diff := cmp.Diff(test.want == "", err == nil); diff != "" || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestAllowance(t *testing.T) {
	hosts := Hosts{"wx.example.com": {"team-a"}, "*.example.com": {EveryNamespace}, "b.example.com": {"team-b", EveryNamespace}}
	for name, test := range map[string]struct {
		hosts           Hosts
		namespace, host string
		want            Allowance
	}{
		"there is no map":                     {nil, "team-a", "wx.example.com", FirstCome},
		"the map names the namespace":         {hosts, "team-a", "wx.example.com", Named},
		"the map gives the host to another":   {hosts, "team-b", "wx.example.com", Forbidden},
		"the map gives the host to everybody": {hosts, "team-b", "a.example.com", FirstCome},
		"to everybody, and by name":           {hosts, "team-b", "b.example.com", Named},
		"the map does not name the host":      {hosts, "team-a", "example.org", Forbidden},
		"no host at all":                      {hosts, "team-a", "", Forbidden},
	} {
		if got := test.hosts.Allowance(test.namespace, test.host); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
