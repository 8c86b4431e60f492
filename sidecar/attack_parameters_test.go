// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// forgeries are values that differ from every genuine one, by parameter.
var forgeries = map[string]string{
	"signature": strings.Repeat("0", 40), "msg_signature": strings.Repeat("0", 40), "timestamp": "1", "nonce": "forged",
	"echostr": "forged", "encrypt_type": "raw", "openid": "oForged",
}

// replaced returns the query with a parameter's value replaced.
func replaced(query, name, value string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if strings.HasPrefix(pair, name+"=") {
			pairs[i] = name + "=" + value
		}
	}
	return strings.Join(pairs, "&")
}

// escaped writes the first letter of a name as %xx.
func escaped(name string) string { return fmt.Sprintf("%%%x", name[0]) + name[1:] }

// parameterAttacks are changes to one parameter of a genuine query that has it. Each is refused, whatever the parameter.
func parameterAttacks(name string) map[string]func(query string) string {
	forged := forgeries[name]
	append1 := func(pair string) func(string) string {
		return func(query string) string { return query + "&" + pair }
	}
	set := func(value func(genuine string) string) func(string) string {
		return func(query string) string { return replaced(query, name, value(parameters(query)[name])) }
	}
	return map[string]func(string) string{
		"stands twice, forged last":                     append1(name + "=" + forged),
		"stands twice, forged first":                    func(query string) string { return name + "=" + forged + "&" + query },
		"stands twice, both genuine":                    func(query string) string { return query + "&" + name + "=" + parameters(query)[name] },
		"stands twice, the second with an escaped name": append1(escaped(name) + "=" + forged),
		"stands twice, the first with an escaped name":  func(query string) string { return escaped(name) + "=" + forged + "&" + query },
		"stands twice, the second empty":                append1(name + "="),
		"stands twice, the second without a sign":       append1(name),
		"stands twice, behind a semicolon":              func(query string) string { return query + ";" + name + "=" + forged },
		"is empty":                                      set(func(string) string { return "" }),
		"ends with NUL":                                 set(func(genuine string) string { return genuine + "%00" }),
		"ends with a space":                             set(func(genuine string) string { return genuine + "+" }),
		"ends with a line feed":                         set(func(genuine string) string { return genuine + "%0a" }),
		"ends with a header of its own":                 set(func(genuine string) string { return genuine + "%0d%0aX-Wechat-Verified:%20true" }),
		"holds a letter that is not ASCII":              set(func(genuine string) string { return genuine + "%C3%A9" }),
		"holds a byte that is not UTF-8":                set(func(genuine string) string { return genuine + "%ff" }),
		"holds an overlong NUL":                         set(func(genuine string) string { return genuine + "%c0%80" }),
		"holds a broken escape":                         set(func(genuine string) string { return genuine + "%zz" }),
		"holds half an escape":                          set(func(genuine string) string { return genuine + "%4" }),
		"is far too long":                               set(func(genuine string) string { return genuine + strings.Repeat("0", 2000) }),
		"is longer than any query":                      set(func(genuine string) string { return genuine + strings.Repeat("0", 5000) }),
	}
}

func TestNoParameterCanBePolluted(t *testing.T) {
	t.Parallel()
	for kind, subject := range map[string]struct {
		account string
		check   bool
		names   []string
	}{
		"a plaintext message":            {"an Official Account, plaintext", false, []string{"signature", "timestamp", "nonce"}},
		"an encrypted message":           {"an Official Account, encrypted", false, []string{"signature", "msg_signature", "timestamp", "nonce"}},
		"a URL check":                    {"an Official Account, plaintext", true, []string{"signature", "timestamp", "nonce", "echostr"}},
		"a message of WeCom's":           {"a WeCom app", false, []string{"msg_signature", "timestamp", "nonce"}},
		"an encrypted URL check (WeCom)": {"a WeCom app", true, []string{"msg_signature", "timestamp", "nonce", "echostr"}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, subject.account, nil)
			v.check = subject.check
			for _, name := range subject.names {
				for what, attack := range parameterAttacks(name) {
					t.Run(name+" "+what, func(t *testing.T) {
						v.expect(t, refused, func(r *caller.Request) { r.Query = attack(r.Query) })
					})
				}
			}
		})
	}
}

// TestParametersThatAreNotThere: what is missing or meant for another platform, and the look-alikes that are other
// parameters and so change nothing.
func TestParametersThatAreNotThere(t *testing.T) {
	t.Parallel()
	without := func(name string) func(*caller.Request) {
		return func(r *caller.Request) {
			r.Query = strings.TrimPrefix(strings.ReplaceAll("&"+r.Query, "&"+name+"="+parameters(r.Query)[name], ""), "&")
		}
	}
	adds := func(text string) func(*caller.Request) {
		return func(r *caller.Request) { r.Query += "&" + text }
	}
	set := func(name, value string) func(*caller.Request) {
		return func(r *caller.Request) { r.Query = replaced(r.Query, name, value) }
	}
	type row struct {
		want   verdict
		attack func(*caller.Request)
	}
	common := map[string]row{
		"no query at all":                       {refused, func(r *caller.Request) { r.Query = "" }},
		"timestamp is missing":                  {refused, without("timestamp")},
		"nonce is missing":                      {refused, without("nonce")},
		"timestamp has a sign":                  {refused, func(r *caller.Request) { r.Query = strings.Replace(r.Query, "timestamp=", "timestamp=%2B", 1) }},
		"timestamp is negative":                 {refused, func(r *caller.Request) { r.Query = strings.Replace(r.Query, "timestamp=", "timestamp=-", 1) }},
		"timestamp is hexadecimal":              {refused, func(r *caller.Request) { r.Query = strings.Replace(r.Query, "timestamp=", "timestamp=0x", 1) }},
		"timestamp has Arabic digits":           {refused, set("timestamp", "%D9%A1%D9%A7%D9%A0%D9%A0")},
		"timestamp and nonce are cut elsewhere": {refused, shiftTimestamp},
		"the parameters are in the body":        {refused, func(r *caller.Request) { r.Body, r.Query = []byte(r.Query), "" }},
		"the ampersands are escaped":            {refused, func(r *caller.Request) { r.Query = strings.ReplaceAll(r.Query, "&", "%26") }},
		"the ampersands are HTML":               {refused, func(r *caller.Request) { r.Query = strings.ReplaceAll(r.Query, "&", "&amp;") }},
		"a fragment follows":                    {refused, func(r *caller.Request) { r.Query += "#fragment" }},
		"an unknown parameter is accepted":      {accepted, adds("a=b")},
		"an unknown one may stand twice":        {accepted, adds("a=b&a=c")},
		"an unknown one may be broken":          {accepted, adds("a=%zz&b=%00")},
		"so may its name":                       {accepted, adds("%zz=a")},
		"an unknown one may have a semicolon":   {accepted, adds("a=b;nonce=forged")},
		"encrypt_type says nothing":             {accepted, adds("encrypt_type=raw&encrypt_type=AES&encrypt_type=")},
		"openid says nothing":                   {accepted, adds("openid=oForged&openid=&openid=%0d%0aX-Wechat-Verified:%20true")},
		"empty pairs are nothing":               {accepted, adds("&&")},
		"brackets make another name":            {accepted, adds("nonce[]=forged")},
		"capitals make another name":            {accepted, adds("Nonce=forged&TIMESTAMP=1&Signature=0&Msg_Signature=0&OpenId=oForged")},
		"NUL makes another name":                {accepted, adds("nonce%00=forged")},
		"escaped twice is another name":         {accepted, adds("%256eonce=forged")},
	}
	plain := map[string]row{
		"signature is missing":      {refused, without("signature")},
		"signature is in capitals":  {refused, func(r *caller.Request) { r.Query = replaced(r.Query, "signature", strings.ToUpper(r.Signature)) }},
		"signature has another sum": {refused, set("signature", strings.Repeat("a", 40))},
		"only msg_signature":        {refused, func(r *caller.Request) { r.Query = strings.Replace(r.Query, "signature=", "msg_signature=", 1) }},
	}
	sealed := map[string]row{
		"msg_signature is missing": {refused, without("msg_signature")},
		"msg_signature is in capitals": {refused, func(r *caller.Request) {
			r.Query = replaced(r.Query, "msg_signature", strings.ToUpper(r.MsgSignature))
		}},
		"msg_signature is that of no body":     {refused, func(r *caller.Request) { r.Query = replaced(r.Query, "msg_signature", r.Signature) }},
		"encrypt_type is missing":              {accepted, without("encrypt_type")},
		"encrypt_type is raw":                  {accepted, set("encrypt_type", "raw")},
		"encrypt_type is another":              {accepted, set("encrypt_type", "sm4")},
		"signature only, as in plaintext":      {refused, func(r *caller.Request) { without("msg_signature")(r); without("encrypt_type")(r) }},
		"signature is not what is verified":    {accepted, set("signature", strings.Repeat("a", 40))},
		"signature need not be there":          {accepted, without("signature")},
		"signature must look like one, though": {refused, set("signature", "a")},
	}
	weCom := map[string]row{
		"msg_signature is missing":      {refused, without("msg_signature")},
		"a signature changes nothing":   {accepted, adds("signature=" + strings.Repeat("0", 40))},
		"signature is no msg_signature": {refused, func(r *caller.Request) { r.Query = strings.Replace(r.Query, "msg_signature=", "signature=", 1) }},
	}
	for _, subject := range []struct {
		account string
		check   bool
		own     map[string]row
	}{
		{"an Official Account, plaintext", false, plain},
		{"an Official Account, plaintext", true, plain},
		{"an Official Account, compatible", false, sealed},
		{"an Official Account, encrypted", false, sealed},
		{"a third-party platform's authorizer", false, sealed},
		{"a Shop", false, sealed},
		{"a WeCom app", false, weCom},
		{"a WeCom app", true, weCom},
	} {
		t.Run(fmt.Sprintf("%s, URL check %v", subject.account, subject.check), func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, subject.account, nil)
			v.check = subject.check
			for _, rows := range []map[string]row{common, subject.own} {
				for name, row := range rows {
					t.Run(name, func(t *testing.T) { v.expect(t, row.want, row.attack) })
				}
			}
		})
	}
}

// shiftTimestamp moves the timestamp's last digit to the nonce: the text that is hashed stays the same.
func shiftTimestamp(r *caller.Request) {
	query := parameters(r.Query)
	timestamp, nonce := query["timestamp"], query["nonce"]
	end := len(timestamp) - 1
	r.Query = replaced(replaced(r.Query, "timestamp", timestamp[:end]), "nonce", timestamp[end:]+nonce)
}

// TestTheAppIsToldNothingUnsigned: openid is in no signature, and an app with an SDK of its own gets a query made anew.
func TestTheAppIsToldNothingUnsigned(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"an Official Account, plaintext", "an Official Account, encrypted"} {
		v := newVictim(t, kind, func(c *config.Config) { c.Backend.Payload = config.PayloadOriginal })
		for name, row := range map[string]struct{ sent, told string }{
			"the openid of the message is told":  {"&openid=oUser", "oUser"},
			"another is not":                     {"&openid=oForged", ""},
			"nor is a parameter of the client's": {"&admin=true&echostr=1", ""},
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				request, _ := v.genuine(t)
				request.Query += row.sent
				if answer := whole(v.sender.Send(t.Context(), request)); answer.Status != http.StatusOK {
					t.Fatalf("answered %d", answer.Status)
				}
				got := v.app.last(t)
				query, err := url.ParseQuery(got.URL.RawQuery)
				if err != nil {
					t.Fatal(err)
				}
				if query.Get("openid") != row.told || query.Has("admin") || query.Has("echostr") || got.Header.Get("X-Wechat-Open-Id") != "oUser" {
					t.Errorf("the app was told %s and %s", got.URL.RawQuery, got.Header.Get("X-Wechat-Open-Id"))
				}
			})
		}
	}
}

// TestACapturedQueryIsGoodForItsOwnUseOnly is about whoever reads an access log or the wire.
func TestACapturedQueryIsGoodForItsOwnUseOnly(t *testing.T) {
	t.Parallel()
	owner, victims := t, map[string]*victim{}
	post := func(r *caller.Request) {
		r.Method, r.Body = http.MethodPost, []byte("<xml><Content>forged</Content></xml>")
	}
	another := func(r *caller.Request) { r.Body = []byte("<xml><Content>forged</Content></xml>") }
	for name, row := range map[string]struct {
		account string
		check   bool
		attack  func(*caller.Request)
	}{
		"a plaintext message's, with another body":      {"an Official Account, plaintext", false, another},
		"a plaintext message's, with a space after it":  {"an Official Account, plaintext", false, func(r *caller.Request) { r.Body = append(r.Body[:len(r.Body):len(r.Body)], ' ') }},
		"a plaintext message's, with raw, another body": {"an Official Account, plaintext", false, func(r *caller.Request) { another(r); r.Query += "&encrypt_type=raw" }},
		"a plaintext message's, with aes, another body": {"an Official Account, plaintext", false, func(r *caller.Request) { another(r); r.Query += "&encrypt_type=aes" }},
		"a plaintext message's, on the other path":      {"an Official Account, plaintext", false, func(r *caller.Request) { another(r); r.Path += "/" }},
		"a plaintext message's, as a URL check": {"an Official Account, plaintext", false, func(r *caller.Request) {
			r.Method, r.Body = http.MethodGet, nil
			r.Query += "&echostr=forged"
		}},
		"a URL check's, for a message":                     {"an Official Account, plaintext", true, post},
		"a URL check's, for a message to an encrypted one": {"an Official Account, encrypted", true, post},
		"a URL check's, for a message that is called raw":  {"an Official Account, encrypted", true, func(r *caller.Request) { post(r); r.Query += "&encrypt_type=raw" }},
		"an encrypted message's, with another body":        {"an Official Account, encrypted", false, another},
		"an encrypted message's, with another's Encrypt": {"an Official Account, encrypted", false, func(r *caller.Request) {
			r.Body = []byte(strings.Replace(string(r.Body), "<Encrypt><![CDATA[", "<Encrypt><![CDATA[AAAA", 1))
		}},
		"a message of WeCom's, with another body":             {"a WeCom app", false, another},
		"a plaintext message's, with its body but without it": {"an Official Account, plaintext", false, func(r *caller.Request) { r.Body = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			v := victims[row.account]
			if v == nil {
				v = newVictim(owner, row.account, nil)
				victims[row.account] = v
			}
			v.check = row.check
			request, message := v.genuine(t)
			v.expectAccepted(t, request, message, false)
			replayed := *request
			row.attack(&replayed)
			answer, err := v.sender.Send(t.Context(), &replayed)
			v.judge(t, refused, answer, err, "")
			v.expectAccepted(t, request, message, true)
		})
	}
}

// TestACapturedURLCheckReflectsAsTextOnly: signature covers no echostr, so that whoever holds one chooses what is echoed.
func TestACapturedURLCheckReflectsAsTextOnly(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, plaintext", nil)
	v.check = true
	for name, row := range map[string]struct {
		want    verdict
		echostr string
	}{
		"a script is echoed as text":   {accepted, "<script>alert(1)</script>"},
		"a header is not echoed":       {refused, "a%0d%0aSet-Cookie:b"},
		"a page of text is not echoed": {refused, strings.Repeat("a", 1025)},
		"a space is not echoed":        {refused, "<img%20src>"},
	} {
		t.Run(name, func(t *testing.T) {
			request, _ := v.genuine(t)
			v.expectAccepted(t, request, "", false)
			replayed := *request
			replayed.Query = replaced(request.Query, "echostr", row.echostr)
			answer, err := v.sender.Send(t.Context(), &replayed)
			v.judge(t, row.want, answer, err, "")
			if row.want == refused {
				return
			}
			got := []string{answer.Header.Get("Content-Type"), answer.Header.Get("X-Content-Type-Options"), string(answer.Body)}
			if diff := cmp.Diff([]string{"text/plain; charset=utf-8", "nosniff", row.echostr}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
