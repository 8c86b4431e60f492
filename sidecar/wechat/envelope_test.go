// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormOf(t *testing.T) {
	for name, test := range map[string]struct {
		document    string
		form        Form
		contentType string
	}{
		"a < begins XML":                       {"<xml/>", FormXML, "text/xml; charset=utf-8"},
		"a { begins JSON":                      {"{}", FormJSON, "application/json; charset=utf-8"},
		"white space before it says nothing":   {" \t\r\n<xml/>", FormXML, "text/xml; charset=utf-8"},
		"nor does a byte order mark":           {"\xef\xbb\xbf\n{}", FormJSON, "application/json; charset=utf-8"},
		"a space of Unicode's is a character":  {"\u00a0<xml/>", FormOther, "text/plain; charset=utf-8"},
		"a second byte order mark is one, too": {"\xef\xbb\xbf\xef\xbb\xbf<xml/>", FormOther, "text/plain; charset=utf-8"},
		"a list is no message":                 {"[]", FormOther, "text/plain; charset=utf-8"},
		"a word has no form":                   {"success", FormOther, "text/plain; charset=utf-8"},
		"nothing has no form":                  {"", FormOther, "text/plain; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got := FormOf([]byte(test.document))
			if got != test.form || got.ContentType() != test.contentType {
				t.Errorf("got %v, %s", got, got.ContentType())
			}
		})
	}
	if got := FormJSONLower.ContentType(); got != FormJSON.ContentType() {
		t.Errorf("JSON with lower-case names is sent as %s", got)
	}
}

func TestHasDoctype(t *testing.T) {
	for name, test := range map[string]struct {
		document string
		want     bool
	}{
		"a DOCTYPE":                            {"<!DOCTYPE xml><xml/>", true},
		"one in lower case":                    {"<!doctype xml><xml/>", true},
		"one behind a declaration":             {"<?xml version=\"1.0\"?>\n<!DOCTYPE xml><xml/>", true},
		"one behind comments":                  {"<!-- > --><!-- -- ><!-- --> <!DOCTYPE xml><xml/>", true},
		"one behind a byte order mark":         {"\xef\xbb\xbf \t\r\n<!DOCTYPE xml><xml/>", true},
		"one that the user wrote":              {"<xml><Content><![CDATA[<!DOCTYPE xml>]]></Content></xml>", false},
		"a document without":                   {"<?xml version=\"1.0\"?><!-- a --><xml/>", false},
		"a comment that never ends":            {"<!-- <!DOCTYPE xml>", false},
		"JSON":                                 {`{"a":"<!DOCTYPE xml>"}`, false},
		"nothing":                              {"", false},
		"a declaration that holds one":         {"<?xml <!DOCTYPE ?><xml/>", false},
		"an instruction before one is no hide": {"<?a ?><?b ?><!DOCTYPE xml>", true},
	} {
		if got := HasDoctype([]byte(test.document)); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// many returns so many fields beside the Encrypt that ends the list.
func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestParseEnvelope(t *testing.T) {
	secure := Envelope{Encrypt: "abc+/=", Form: FormXML}
	compatible := Envelope{Encrypt: "abc+/=", Form: FormXML, Cleartext: true}
	inJSON := Envelope{Encrypt: "abc+/=", Form: FormJSON}
	const encrypt = "<Encrypt><![CDATA[abc+/=]]></Encrypt>"
	for name, test := range map[string]struct {
		body    string
		want    Envelope
		refused string
	}{
		"the secure mode":                                {body: "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>" + encrypt + "</xml>", want: secure},
		"an envelope of the Open Platform":               {body: "<xml><AppId>wx1</AppId>" + encrypt + "</xml>", want: secure},
		"an envelope of WeCom":                           {body: "<xml><ToUserName>ww1</ToUserName>" + encrypt + "<AgentID>218</AgentID></xml>", want: secure},
		"the compatible mode has a cleartext":            {body: "<xml><MsgType>text</MsgType>" + encrypt + "</xml>", want: compatible},
		"a declaration":                                  {body: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml>" + encrypt + "</xml>", want: secure},
		"a declaration with standalone":                  {body: "<?xml version='1.0' encoding = 'utf-8' standalone=\"no\" ?><xml>" + encrypt + "</xml>", want: secure},
		"a byte order mark":                              {body: "\xef\xbb\xbf<xml>" + encrypt + "</xml>", want: secure},
		"a byte order mark before JSON":                  {body: "\xef\xbb\xbf{\"Encrypt\":\"abc+/=\"}", want: inJSON},
		"white space around the document":                {body: "\r\n<xml>" + encrypt + "</xml>\r\n", want: secure},
		"white space around the text":                    {body: "<xml><Encrypt>\n  <![CDATA[abc+/=]]>\r\n\t</Encrypt></xml>", want: secure},
		"a text without CDATA":                           {body: "<xml><Encrypt>abc+/=</Encrypt></xml>", want: secure},
		"a text in two CDATA sections":                   {body: "<xml><Encrypt><![CDATA[abc]]><![CDATA[+/=]]></Encrypt></xml>", want: secure},
		"a character reference":                          {body: "<xml><Encrypt>abc&#43;/&#x3d;</Encrypt></xml>", want: secure},
		"attributes, which nobody reads":                 {body: `<xml a="1"><Encrypt b="2">abc+/=</Encrypt></xml>`, want: secure},
		"a comment beside Encrypt":                       {body: "<!-- a --><xml><!-- b -->" + encrypt + "<!-- c --></xml><!-- d -->", want: secure},
		"JSON":                                           {body: `{"ToUserName":"gh_1","Encrypt":"abc+/="}`, want: inJSON},
		"JSON with escapes":                              {body: `{"\u0045ncrypt":"abc\u002b\/="}`, want: inJSON},
		"JSON with white space":                          {body: " {\n\t\"Encrypt\" : \" abc+/= \"\r\n}\n", want: inJSON},
		"JSON with lower-case names":                     {body: `{"encrypt":"abc+/=","agentid":218}`, want: Envelope{Encrypt: "abc+/=", Form: FormJSONLower}},
		"JSON with a cleartext of every kind of value":   {body: `{"a":[1,{"b":"]\"}"}],"c":null,"d":true,"e":{},"Encrypt":"abc+/="}`, want: Envelope{Encrypt: "abc+/=", Form: FormJSON, Cleartext: true}},
		"255 fields beside it":                           {body: "<xml>" + many(255, "<f%d/>") + encrypt + "</xml>", want: compatible},
		"256 fields beside it":                           {body: "<xml>" + many(256, "<f%d/>") + encrypt + "</xml>", refused: "not one well-formed"},
		"255 members beside it":                          {body: "{" + many(255, `"f%d":1,`) + `"Encrypt":"abc+/="}`, want: Envelope{Encrypt: "abc+/=", Form: FormJSON, Cleartext: true}},
		"256 members beside it":                          {body: "{" + many(256, `"f%d":1,`) + `"Encrypt":"abc+/="}`, refused: "not one well-formed"},
		"a depth of 32":                                  {body: "<xml>" + encrypt + strings.Repeat("<a>", 31) + strings.Repeat("</a>", 31) + "</xml>", want: compatible},
		"a depth of 33":                                  {body: "<xml>" + encrypt + strings.Repeat("<a>", 32) + strings.Repeat("</a>", 32) + "</xml>", refused: "not one well-formed"},
		"JSON with a depth of 32":                        {body: `{"Encrypt":"abc+/=","a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + "}", want: Envelope{Encrypt: "abc+/=", Form: FormJSON, Cleartext: true}},
		"JSON with a depth of 33":                        {body: `{"Encrypt":"abc+/=","a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", refused: "not one well-formed"},
		"Encrypt twice":                                  {body: "<xml>" + encrypt + encrypt + "</xml>", refused: "stands twice"},
		"Encrypt beside a twin in lower case":            {body: "<xml>" + encrypt + "<encrypt/></xml>", refused: "stands twice"},
		"an empty Encrypt before another":                {body: "<xml><Encrypt/>" + encrypt + "</xml>", refused: "stands twice"},
		"JSON with Encrypt twice":                        {body: `{"Encrypt":"a","Encrypt":"b"}`, refused: "stands twice"},
		"JSON with Encrypt twice, once with an escape":   {body: `{"Encrypt":"a","\u0045ncrypt":"b"}`, refused: "stands twice"},
		"JSON with a twin in lower case":                 {body: `{"Encrypt":"a","encrypt":"b"}`, refused: "stands twice"},
		"XML with a lower-case name, which nobody sends": {body: "<xml><encrypt>a</encrypt></xml>", refused: "no Encrypt"},
		"JSON with a name in capitals":                   {body: `{"ENCRYPT":"a"}`, refused: "no Encrypt"},
		"an Encrypt that is nested":                      {body: "<xml><a>" + encrypt + "</a></xml>", refused: "not below the root"},
		"an Encrypt of a child's own":                    {body: "<xml><a><Encrypt>other</Encrypt></a>" + encrypt + "</xml>", refused: "not below the root"},
		"an Encrypt of a grandchild's own, behind it":    {body: "<xml>" + encrypt + "<a><b><p:encrypt/></b></a></xml>", refused: "not below the root"},
		"an Encrypt that is the root":                    {body: encrypt, refused: "not one well-formed"},
		"JSON with an Encrypt that is nested":            {body: `{"a":{"Encrypt":"a"}}`, refused: "not below the root"},
		"JSON with an Encrypt of a member's own":         {body: `{"Encrypt":"abc+/=","a":["\\\"",{"\u0065ncrypt" : 1}]}`, refused: "not below the root"},
		"JSON with a text that reads Encrypt":            {body: `{"Encrypt":"abc+/=","a":["Encrypt",{"b":"Encrypt"}]}`, want: Envelope{Encrypt: "abc+/=", Form: FormJSON, Cleartext: true}},
		"an Encrypt with a namespace":                    {body: `<xml><Encrypt xmlns="urn:a">a</Encrypt></xml>`, refused: "not one well-formed"},
		"an Encrypt with a prefix of nothing":            {body: `<xml xmlns:p=""><p:Encrypt>a</p:Encrypt></xml>`, refused: "not one well-formed"},
		"an Encrypt with a prefix that nobody declared":  {body: `<xml><p:Encrypt>a</p:Encrypt></xml>`, refused: "no Encrypt"},
		"an Encrypt with a prefix":                       {body: `<xml xmlns:p="urn:a"><p:Encrypt>a</p:Encrypt></xml>`, refused: "not one well-formed"},
		"a root with a namespace":                        {body: `<xml xmlns="urn:a">` + encrypt + "</xml>", refused: "not one well-formed"},
		"a root of another name":                         {body: "<html>" + encrypt + "</html>", refused: "not one well-formed"},
		"an empty Encrypt":                               {body: "<xml><Encrypt><![CDATA[ ]]></Encrypt></xml>", refused: "is empty"},
		"JSON with an empty Encrypt":                     {body: `{"Encrypt":""}`, refused: "is empty"},
		"an Encrypt with a child":                        {body: "<xml><Encrypt>a<b/>c</Encrypt></xml>", refused: "not a plain text"},
		"an Encrypt with a comment":                      {body: "<xml><Encrypt>a<!-- b -->c</Encrypt></xml>", refused: "not a plain text"},
		"JSON with an Encrypt that is a number":          {body: `{"Encrypt":1}`, refused: "not a plain text"},
		"JSON with an Encrypt that is a list":            {body: `{"Encrypt":["a"]}`, refused: "not a plain text"},
		"JSON with an Encrypt that is null":              {body: `{"Encrypt":null}`, refused: "not a plain text"},
		"a DOCTYPE":                                      {body: "<!DOCTYPE xml><xml>" + encrypt + "</xml>", refused: "not one well-formed"},
		"an entity of the document's own":                {body: `<!DOCTYPE xml [<!ENTITY e "a">]><xml><Encrypt>&e;</Encrypt></xml>`, refused: "not one well-formed"},
		"an entity that nobody declared":                 {body: "<xml><Encrypt>&nbsp;a</Encrypt></xml>", refused: "not one well-formed"},
		"a processing instruction":                       {body: "<?php ?><xml>" + encrypt + "</xml>", refused: "not one well-formed"},
		"one that looks like a declaration":              {body: `<?xsl version="1.0"?><xml>` + encrypt + "</xml>", refused: "not one well-formed"},
		"a declaration in the middle":                    {body: `<xml><?xml version="1.0"?>` + encrypt + "</xml>", refused: "not one well-formed"},
		"a second declaration":                           {body: `<?xml version="1.0"?><?xml version="1.0"?><xml>` + encrypt + "</xml>", refused: "not one well-formed"},
		"a declaration behind white space":               {body: "\n" + `<?xml version="1.0"?><xml>` + encrypt + "</xml>", refused: "not one well-formed"},
		"a declaration of another encoding":              {body: `<?xml version="1.0" encoding="gbk"?><xml>` + encrypt + "</xml>", refused: "not one well-formed"},
		"another encoding with spaces around the sign":   {body: `<?xml version="1.0" encoding = "gbk"?><xml>` + encrypt + "</xml>", refused: "not one well-formed"},
		"XML 1.1":                           {body: `<?xml version="1.1"?><xml>` + encrypt + "</xml>", refused: "not one well-formed"},
		"invalid UTF-8":                     {body: "<xml><a>\xff</a>" + encrypt + "</xml>", refused: "not one well-formed"},
		"invalid UTF-8 in JSON":             {body: "{\"a\":\"\xc0\x80\",\"Encrypt\":\"a\"}", refused: "not one well-formed"},
		"text behind the root":              {body: "<xml>" + encrypt + "</xml>x", refused: "not one well-formed"},
		"text before the root":              {body: "<!-- a -->x<xml>" + encrypt + "</xml>", refused: "not one well-formed"},
		"two roots":                         {body: "<xml>" + encrypt + "</xml><xml/>", refused: "not one well-formed"},
		"an element that stays open":        {body: "<xml>" + encrypt, refused: "not one well-formed"},
		"a comment without a root":          {body: "<!-- a -->", refused: "not one well-formed"},
		"JSON behind JSON":                  {body: `{"Encrypt":"a"}{"Encrypt":"b"}`, refused: "not one well-formed"},
		"JSON with a brace too many":        {body: `{"Encrypt":"a"}}`, refused: "not one well-formed"},
		"JSON with a comma at the end":      {body: `{"Encrypt":"a",}`, refused: "not one well-formed"},
		"JSON with two commas":              {body: `{"a":1,,"Encrypt":"a"}`, refused: "not one well-formed"},
		"JSON with a wrong bracket":         {body: `{"Encrypt":"a"]`, refused: "not one well-formed"},
		"JSON without a colon":              {body: `{"Encrypt" "a"}`, refused: "not one well-formed"},
		"JSON with a name that is a number": {body: `{1:"a"}`, refused: "not one well-formed"},
		"JSON with a comment":               {body: `{/* a */"Encrypt":"a"}`, refused: "not one well-formed"},
		"JSON that is cut off":              {body: `{"Encrypt":"a`, refused: "not one well-formed"},
		"a form":                            {body: "Encrypt=a", refused: "not one well-formed"},
		"nothing":                           {body: "", refused: "not one well-formed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseEnvelope([]byte(test.body))
			if test.refused == "" {
				if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
					t.Errorf("error %v; parsed otherwise (-want +got):\n%s", err, diff)
				}
				return
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || !strings.Contains(refusal.Detail, test.refused) || got != (Envelope{}) {
				t.Errorf("got %+v, error %v, want a refusal with %q", got, err, test.refused)
			}
		})
	}
}

func TestWithoutEncrypt(t *testing.T) {
	for name, test := range map[string]struct {
		body, want string
		refused    string
	}{
		"XML with Encrypt first":             {body: "<xml><Encrypt>e</Encrypt>\n<a>1</a></xml>", want: "<xml>\n<a>1</a></xml>"},
		"XML with Encrypt in the middle":     {body: "<xml><a>1</a><Encrypt>e</Encrypt><b>2</b></xml>", want: "<xml><a>1</a><b>2</b></xml>"},
		"XML with Encrypt last":              {body: "<xml><a>1</a><Encrypt><![CDATA[e]]></Encrypt></xml>\n", want: "<xml><a>1</a></xml>\n"},
		"XML with a byte order mark":         {body: "\xef\xbb\xbf<xml><a>1</a><Encrypt>e</Encrypt></xml>", want: "\xef\xbb\xbf<xml><a>1</a></xml>"},
		"XML whose other bytes stay":         {body: "<?xml version=\"1.0\"?>\r\n<xml ><a><![CDATA[你好]]></a ><!-- c --><Encrypt >e</Encrypt ></xml >", want: "<?xml version=\"1.0\"?>\r\n<xml ><a><![CDATA[你好]]></a ><!-- c --></xml >"},
		"JSON with Encrypt first":            {body: `{"Encrypt":"e","a":1,"b":2}`, want: `{"a":1,"b":2}`},
		"JSON with Encrypt in the middle":    {body: `{"a":1,"Encrypt":"e","b":2}`, want: `{"a":1,"b":2}`},
		"JSON with Encrypt last":             {body: `{"a":1,"b":2,"Encrypt":"e"}`, want: `{"a":1,"b":2}`},
		"JSON in lower case":                 {body: `{"encrypt":"e","msgtype":"text"}`, want: `{"msgtype":"text"}`},
		"JSON with white space":              {body: "{ \"a\" : 1 ,\n \"Encrypt\" : \"e\" ,\n \"b\" : 2 }", want: "{ \"a\" : 1 ,\n \"b\" : 2 }"},
		"JSON with white space and it first": {body: "\xef\xbb\xbf{ \"Encrypt\" : \"e\" , \"a\" : 1 }", want: "\xef\xbb\xbf{ \"a\" : 1 }"},
		"JSON whose numbers stay as written": {body: `{"MsgId":92233720368547758070,"Encrypt":"e","x":1.0e0}`, want: `{"MsgId":92233720368547758070,"x":1.0e0}`},
		"a body without Encrypt stays":       {body: "<xml><a>1</a></xml>", want: "<xml><a>1</a></xml>"},
		"a body that cannot be read stays":   {body: "<xml><a>", want: "<xml><a>"},
		"an empty body stays":                {body: "", want: ""},
		"XML with an address only":           {body: "<xml><ToUserName>gh_1</ToUserName><Encrypt>e</Encrypt></xml>", refused: "no message beside Encrypt"},
		"XML with Encrypt only":              {body: "<xml><Encrypt>e</Encrypt></xml>", refused: "no message beside Encrypt"},
		"XML with two of them":               {body: "<xml><a>1</a><Encrypt>e</Encrypt><Encrypt>f</Encrypt></xml>", refused: "stands twice"},
		"XML with one of a child's own":      {body: "<xml><a><Encrypt>e</Encrypt></a></xml>", refused: "not below the root"},
		"JSON with an address only":          {body: `{"tousername":"ww1","encrypt":"e","agentid":"1"}`, refused: "no message beside Encrypt"},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(test.body)
			got, err := WithoutEncrypt(body)
			if string(got) != test.want || (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("got %q, error %v, want %q and %q", got, err, test.want, test.refused)
			}
			if string(body) != test.body {
				t.Errorf("the body was written over: %q", body)
			}
		})
	}
}

func TestReadFields(t *testing.T) {
	for name, test := range map[string]struct {
		message string
		want    Fields
	}{
		"a message": {
			"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName>o1</FromUserName><MsgType> event </MsgType><Event>subscribe</Event><AgentID>1</AgentID></xml>",
			Fields{ToUserName: "gh_1", FromUserName: "o1", MsgType: "event", Event: "subscribe", AgentID: "1"},
		},
		"an event of the Open Platform":               {"<xml><InfoType>authorized</InfoType></xml>", Fields{InfoType: "authorized"}},
		"JSON":                                        {`{"MsgType":"text","AgentID":218}`, Fields{MsgType: "text", AgentID: "218"}},
		"JSON with lower-case names":                  {`{"msgtype":"text","tousername":"ww1"}`, Fields{MsgType: "text", ToUserName: "ww1"}},
		"a field that stands twice is empty":          {"<xml><MsgType>text</MsgType><MsgType>event</MsgType><Event>a</Event></xml>", Fields{Event: "a"}},
		"a field that stands three times is empty":    {"<xml><MsgType>a</MsgType><MsgType>b</MsgType><MsgType>c</MsgType></xml>", Fields{}},
		"a field and its twin in lower case":          {`{"MsgType":"text","msgtype":"event"}`, Fields{}},
		"an empty field before another is empty":      {"<xml><MsgType/><MsgType>text</MsgType></xml>", Fields{}},
		"a field with children is empty":              {"<xml><MsgType>te<b>x</b>t</MsgType></xml>", Fields{}},
		"a field that is a list is empty":             {`{"MsgType":["text"]}`, Fields{}},
		"a field of a child is another":               {"<xml><a><MsgType>text</MsgType></a></xml>", Fields{}},
		"a field with a namespace is another":         {`<xml><MsgType xmlns="urn:a">text</MsgType></xml>`, Fields{}},
		"a text is read past a comment beside it":     {"<xml><MsgType>text</MsgType><!-- c --></xml>", Fields{MsgType: "text"}},
		"a text that is no document has none":         {"success", Fields{}},
		"a document that is not well-formed has none": {"<xml><MsgType>text</MsgType>", Fields{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ReadFields([]byte(test.message))); diff != "" {
				t.Errorf("read otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestEnvelope(t *testing.T) {
	address := []Address{{"ToUserName", "ww1"}, {"AgentID", ""}, {"AppId", `a"]]>b`}}
	for name, test := range map[string]struct {
		form    Form
		address []Address
		want    string
	}{
		"XML":                        {FormXML, address, "<xml><ToUserName><![CDATA[ww1]]></ToUserName><AppId><![CDATA[a\"]]]]><![CDATA[>b]]></AppId><Encrypt><![CDATA[a+/=]]></Encrypt></xml>"},
		"XML without an address":     {FormXML, nil, "<xml><Encrypt><![CDATA[a+/=]]></Encrypt></xml>"},
		"JSON":                       {FormJSON, address, `{"ToUserName":"ww1","AppId":"a\"]]>b","Encrypt":"a+/="}`},
		"JSON with lower-case names": {FormJSONLower, address, `{"tousername":"ww1","appid":"a\"]]>b","encrypt":"a+/="}`},
		"JSON without an address":    {FormJSON, nil, `{"Encrypt":"a+/="}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := RequestEnvelope(test.form, test.address, "a+/=")
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if back, err := ParseEnvelope(got); back != (Envelope{Encrypt: "a+/=", Form: test.form}) || err != nil {
				t.Errorf("it reads as %+v, error %v", back, err)
			}
		})
	}
}

// TestReplyEnvelope holds that a nonce, which whoever sent the request has chosen, stays within its field.
func TestReplyEnvelope(t *testing.T) {
	for _, form := range []Form{FormXML, FormJSON, FormJSONLower, FormOther} {
		for name, nonce := range map[string]string{
			"a usual nonce":          "415670741",
			"the end of CDATA":       "1]]><Encrypt>forged</Encrypt><![CDATA[",
			"the end of CDATA twice": "]]>]]>",
			"the end of a text":      `1","Encrypt":"forged`,
			"a backslash":            `1\`,
			"markup":                 "<&>'",
		} {
			t.Run(fmt.Sprintf("%s in form %d", name, form), func(t *testing.T) {
				reply := ReplyEnvelope(form, "token", "1700000000", nonce, "a+/=")
				want := SealedReply{Encrypt: "a+/=", Signature: Sign("token", "1700000000", nonce, "a+/="), Timestamp: "1700000000", Nonce: nonce}
				got, err := ParseReplyEnvelope(reply)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("error %v; read otherwise from %s (-want +got):\n%s", err, reply, diff)
				}
				if fields, err := readFields(reply); len(fields) != 4 || err != nil {
					t.Errorf("it has %d fields, error %v: %s", len(fields), err, reply)
				}
				if asksJSON := form == FormJSON || form == FormJSONLower; asksJSON != json.Valid(reply) {
					t.Errorf("the notation is another: %s", reply)
				}
			})
		}
	}
}

func TestParseReplyEnvelopeRefuses(t *testing.T) {
	good := string(ReplyEnvelope(FormJSON, "token", "1", "2", "e"))
	for name, reply := range map[string]string{
		"a text":                     "success",
		"a reply that is not sealed": "<xml><Content>hi</Content></xml>",
		"one without Encrypt":        strings.Replace(good, `"Encrypt"`, `"a"`, 1),
		"one without a signature":    strings.Replace(good, `"MsgSignature"`, `"a"`, 1),
		"one without a timestamp":    strings.Replace(good, `"TimeStamp"`, `"a"`, 1),
		"one without a nonce":        strings.Replace(good, `"Nonce"`, `"a"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseReplyEnvelope([]byte(reply)); err == nil || got != (SealedReply{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestCheckReplyInTheFormOfTheMessage(t *testing.T) {
	for name, test := range map[string]struct {
		body    string
		message Form
		refused string
	}{
		"JSON to JSON":                        {`{"demo_resp":"good luck"}`, FormJSON, ""},
		"JSON to JSON in lower case":          {` {"msgtype":"stream"} `, FormJSONLower, ""},
		"JSON to a message without a form":    {`{}`, FormOther, ""},
		"XML to a message without a form":     {"<xml/>", FormOther, ""},
		"success to JSON":                     {"success\n", FormJSON, ""},
		"nothing to JSON":                     {"", FormJSON, ""},
		"XML to JSON":                         {"<xml/>", FormJSON, "answer in JSON"},
		"XML to JSON in lower case":           {"<xml/>", FormJSONLower, "answer in JSON"},
		"JSON to XML":                         {"{}", FormXML, "answer in XML"},
		"a list to JSON":                      {"[]", FormJSON, "neither empty"},
		"success in quotes to JSON":           {`"success"`, FormJSON, "neither empty"},
		"two objects":                         {"{}{}", FormJSON, "not one JSON object"},
		"half an object":                      {`{"a":`, FormJSON, "not one JSON object"},
		"an object that is too deep":          {`{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", FormJSON, "not one JSON object"},
		"an object that is no UTF-8":          {"{\"a\":\"\xff\"}", FormJSON, "UTF-8"},
		"an object that is too long":          {`{"a":"` + strings.Repeat("a", MaxReplySize) + `"}`, FormJSON, "longer than"},
		"a root with a namespace":             {`<xml xmlns="urn:a"/>`, FormXML, "root of the reply is not <xml>"},
		"a comment without a root":            {"<!-- a -->", FormXML, "not one complete"},
		"success that is longer than allowed": {strings.Repeat(" ", MaxReplySize) + "success", FormXML, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckReply([]byte(test.body), test.message)
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
		})
	}
}

// encrypts counts the fields that any parser could take for Encrypt.
func encrypts(t *testing.T, document []byte) int {
	t.Helper()
	fields, err := readFields(document)
	if err != nil {
		t.Fatalf("%q does not parse: %v", document, err)
	}
	count := 0
	for _, field := range fields {
		if strings.EqualFold(field.name, "Encrypt") {
			count++
		}
	}
	return count
}

func addDocuments(f *testing.F) {
	for _, document := range []string{
		"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[abc+/=]]></Encrypt></xml>",
		"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml><MsgType>text</MsgType><Encrypt>\n<![CDATA[a]]><![CDATA[b]]>\n</Encrypt></xml>\n",
		"<xml><Encrypt>a&#13;b]]&gt;c&#43;</Encrypt><encrypt/><a><Encrypt/></a></xml>",
		"<xml><Encrypt>a<!-- c -->b</Encrypt><b>1</b></xml>",
		`{"ToUserName":"gh_1","Encrypt":"abc+/="}`,
		" {\"encrypt\" : \"a\\u2028\\ud800\\\"\" ,\n\"msgtype\":[1,{\"a\":\"]\"}] , \"b\" : null}",
		`{"a":1,"\u0045ncrypt":"a","b":{"Encrypt":"b"}}`,
		"Encrypt=a",
	} {
		f.Add([]byte(document))
	}
}

// FuzzParseEnvelope holds that what passes has one Encrypt and can be put into an envelope again.
func FuzzParseEnvelope(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		envelope, err := ParseEnvelope(body)
		if err != nil {
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || envelope != (Envelope{}) {
				t.Errorf("got %+v and the unclassified error %v", envelope, err)
			}
			return
		}
		if count := encrypts(t, body); count != 1 || envelope.Encrypt == "" {
			t.Errorf("passed %q from a body with %d of them", envelope.Encrypt, count)
		}
		if envelope.Form == FormXML && strings.Contains(envelope.Encrypt, "\r") {
			return // only a reference can write one in XML, where every parser reads a bare one as a line feed
		}
		again, err := ParseEnvelope(RequestEnvelope(envelope.Form, nil, envelope.Encrypt))
		if again != (Envelope{Encrypt: envelope.Encrypt, Form: envelope.Form}) || err != nil {
			t.Errorf("in an envelope again, %+v reads as %+v, error %v", envelope, again, err)
		}
	})
}

// FuzzWithoutEncrypt holds that what is taken out is Encrypt and nothing else.
func FuzzWithoutEncrypt(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		clear, refusal := WithoutEncrypt(body)
		envelope, err := ParseEnvelope(body)
		switch {
		case err != nil && refusal != nil:
			return
		case err != nil:
			if !bytes.Equal(clear, body) {
				t.Errorf("a body that has no Encrypt was changed into %q", clear)
			}
			return
		case refusal != nil:
			if envelope.Cleartext || clear != nil {
				t.Errorf("the cleartext is lost: %q", clear)
			}
			return
		}
		if count := encrypts(t, clear); count != 0 {
			t.Errorf("%d of them stay in %q", count, clear)
		}
		before, err := readFields(body)
		if err != nil {
			t.Fatal(err)
		}
		after, err := readFields(clear)
		if err != nil {
			t.Fatal(err)
		}
		if len(after) != len(before)-1 {
			t.Fatalf("of %d fields, %d stay in %q", len(before), len(after), clear)
		}
		i := 0
		for _, field := range before {
			if strings.EqualFold(field.name, "Encrypt") {
				continue
			}
			was, is := string(body[field.start:field.end]), string(clear[after[i].start:after[i].end])
			if was != is || field.name != after[i].name || field.text != after[i].text {
				t.Errorf("%q became %q", was, is)
			}
			i++
		}
	})
}
