// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSign holds published examples.
func TestSign(t *testing.T) {
	for name, test := range map[string]struct {
		parts []string
		want  string
	}{
		"the example of a captured Official Account message (SKIT.FlurlHttpClient.Wechat)": {
			parts: []string{"ovAkP0Tb", "1628737717", "1811081856", "Q/jUxIL3/jRaFeTKesIr1QSq2SOEApDqlzcRrRM6Jlk4EbMBns3plPOR/W3gThOEq+zYI42fNSoIUb3cQwt9zyD1aLU/7D3WNLute7LQ9LSHjZEfVmx5zcIR9zvrUWGjhe1whTPH4e1WR6vbOYs8o/bDRF0vX/NcE4XK7P83Y6CzQiJoKbjVCne84s0zcw5eh+ZUDB55eaDHPSoS7kAC8kB00pfBoDF0jyfc8CUKLW97e72vJGyUWjZ0BvYN+R+tFjMgEzg/EN1imuuFnf40DMAcvB6y+C97TuaWjpgfRdowGWzn10JAFNukRfQqjdA0e2bfczJ7+t9w/t8/XSMADJOt1xbnP+I5cRX/r7ueBGmG/6ejP3myO9yTXHdujGvwrXHuWw+J7qD4VoUVjbm2vQ1qQKbrweKssr6O+3XSbanZ5R3n26EpN/gfgX+r6rcGViqsFop9Ai9xMnfJUubB6Q=="},
			want:  "8128e41a38892d814e4aa67753425da9dc8ec2b3",
		},
		"the order of the parts does not matter": {[]string{"b", "a", "c"}, Sign("a", "b", "c")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Sign(test.parts...); got != test.want || !Verify(got, test.parts...) {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if Verify(strings.Repeat("0", SignatureSize), test.parts...) || Verify("", test.parts...) {
				t.Error("a forged signature verifies")
			}
		})
	}
}

var signature = strings.Repeat("a", SignatureSize)

func TestParseQuery(t *testing.T) {
	good := "signature=" + signature + "&timestamp=1700000000&nonce=42"
	triple := Triple{Timestamp: "1700000000", Nonce: "42", Signature: signature}
	for name, test := range map[string]struct {
		raw     string
		want    Query
		refused string
	}{
		"a message":                       {raw: good, want: Query{Triple: triple}},
		"other parameters are ignored":    {raw: good + "&utm=1&utm=2&x", want: Query{Triple: triple}},
		"echostr is decoded exactly once": {raw: good + "&echostr=a%2Bb%252B", want: Query{Triple: triple, Echostr: "a+b%2B"}},
		"every parameter of the protocol": {
			raw:  good + "&openid=o1&encrypt_type=aes&msg_signature=" + signature + "&echostr=1",
			want: Query{Triple: triple, MsgSignature: signature, Echostr: "1"},
		},
		"the longest nonce":                   {raw: strings.Replace(good, "42", strings.Repeat("n", 128), 1), want: Query{Triple: Triple{"1700000000", strings.Repeat("n", 128), signature}}},
		"a nonce too long":                    {raw: strings.Replace(good, "42", strings.Repeat("n", 129), 1), refused: "nonce is too long"},
		"an empty nonce":                      {raw: strings.Replace(good, "42", "", 1), refused: "nonce is empty"},
		"no nonce":                            {raw: strings.Replace(good, "&nonce=42", "", 1), refused: "nonce is missing"},
		"no timestamp":                        {raw: strings.Replace(good, "timestamp", "time", 1), refused: "timestamp must be there"},
		"a timestamp that begins with 0":      {raw: strings.Replace(good, "=17", "=017", 1), refused: "timestamp"},
		"a negative timestamp":                {raw: strings.Replace(good, "=17", "=-17", 1), refused: "timestamp"},
		"no signature, which the mode judges": {raw: "timestamp=1&nonce=2", want: Query{Triple: Triple{Timestamp: "1", Nonce: "2"}}},
		"a signature in capitals":             {raw: strings.Replace(good, "aaaa", "AAAA", 1), refused: "signature must be 40"},
		"a short signature":                   {raw: strings.Replace(good, "aa", "a", 1), refused: "signature must be 40"},
		"a parameter twice":                   {raw: good + "&nonce=42", refused: "nonce stands twice"},
		"a parameter twice, encoded":          {raw: good + "&%6eonce=42", refused: "nonce stands twice"},
		"a broken escape":                     {raw: good + "&echostr=%zz", refused: "broken escape"},
		"a broken escape in another's value":  {raw: good + "&other=%", want: Query{Triple: triple}},
		"a broken escape in a name":           {raw: good + "&%z=1&nonce%=1", want: Query{Triple: triple}},
		"a semicolon in another's value":      {raw: good + "&a=1;nonce=43", want: Query{Triple: triple}},
		"a semicolon in a signature":          {raw: strings.Replace(good, "&", ";", 1), refused: "signature is too long"},
		"unsigned ones, twice and oddly":      {raw: good + "&encrypt_type=AES&encrypt_type=aes&openid=&openid=%00&openid", want: Query{Triple: triple}},
		"a line break":                        {raw: good + "&echostr=a%0d%0ab", refused: "visible ASCII"},
		"a delete character":                  {raw: good + "&echostr=a%7f", refused: "visible ASCII"},
		"a msg_signature in capitals":         {raw: good + "&msg_signature=" + strings.ToUpper(signature), refused: "msg_signature must be 40"},
		"characters beyond ASCII":             {raw: good + "&echostr=%E4%BD%A0", refused: "visible ASCII"},
		"a space in echostr, as a raw + is":   {raw: good + "&echostr=a+b%20c", want: Query{Triple: triple, Echostr: "a b c"}},
		"a space elsewhere":                   {raw: strings.Replace(good, "42", "4+2", 1), refused: "visible ASCII"},
		"an echostr too long":                 {raw: good + "&echostr=" + strings.Repeat("e", MaxEchostrSize+1), refused: "echostr is too long"},
		"a query of 4 KiB":                    {raw: good + "&" + strings.Repeat("x", MaxQuerySize-len(good)-1), want: Query{Triple: triple}},
		"a query of one byte more":            {raw: good + "&" + strings.Repeat("x", MaxQuerySize-len(good)), refused: "query is too long"},
		"nothing":                             {raw: "", refused: "timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseQuery(test.raw)
			if test.refused == "" {
				if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
					t.Errorf("error %v; parsed otherwise (-want +got):\n%s", err, diff)
				}
				return
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || !strings.Contains(refusal.Detail, test.refused) {
				t.Errorf("error %v, want a refusal with %q", err, test.refused)
			}
		})
	}
}

// FuzzParseQuery holds that what passes is what net/url reads, once and whole, and that every failure is classified.
func FuzzParseQuery(f *testing.F) {
	f.Add("signature=" + signature + "&timestamp=1700000000&nonce=42&echostr=a%2Bb")
	f.Add("a=1;nonce=2&%6eonce=3&nonce")
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := ParseQuery(raw)
		if err != nil {
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Errorf("unclassified error %v", err)
			}
			return
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("passed what net/url refuses: %v", err)
		}
		for name, got := range map[string]string{"signature": query.Signature, "timestamp": query.Timestamp, "nonce": query.Nonce, "echostr": query.Echostr} {
			if want := values[name]; len(want) > 1 || values.Get(name) != got {
				t.Errorf("%s is %q, net/url reads %q", name, got, want)
			}
		}
	})
}

func TestCheckReply(t *testing.T) {
	for name, test := range map[string]struct {
		body, refused string
	}{
		"empty":                      {"", ""},
		"success":                    {"success", ""},
		"a passive reply":            {"<xml><Content><![CDATA[你好 <b>]]></Content></xml>", ""},
		"with a declaration":         {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml><a>1</a></xml>\n", ""},
		"white space around success": {"\r\n success\t", ""},
		"a byte order mark around":   {"\xef\xbb\xbfsuccess \xef\xbb\xbf", ""},
		"a no-break space around it": {"\u00a0success", "neither empty"},
		"a byte order mark":          {"\xef\xbb\xbf<xml/>", "byte order mark"},
		"a word":                     {"ok", "neither empty"},
		"JSON":                       {`{"code":0}`, "answer in XML"},
		"an HTML page":               {"\n<!DOCTYPE HTML><html></html>", "HTML page"},
		"a bare HTML page":           {"<HTML><body></body></HTML>", "HTML page"},
		"another root":               {"<rss></rss>", "root of the reply is not <xml>"},
		"a DOCTYPE":                  {"<!DOCTYPE xml><xml/>", "DOCTYPE"},
		"an entity bomb":             {`<!DOCTYPE x [<!ENTITY a "b">]><xml>&a;</xml>`, "DOCTYPE"},
		"an element that stays open": {"<xml><a></xml>", "well-formed"},
		"two roots":                  {"<xml/><xml/>", "one complete document"},
		"text behind the root":       {"<xml/>x", "text outside"},
		"too deep":                   {strings.Repeat("<xml>", 9) + strings.Repeat("</xml>", 9), "deeper"},
		"another character set":      {"<xml>\xff</xml>", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckReply([]byte(test.body), FormXML)
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
		})
	}
}
