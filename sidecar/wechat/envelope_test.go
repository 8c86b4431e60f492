// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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

// notWeChats is a part of what a body is called that is none of WeChat's.
const notWeChats = "not one XML or JSON document as WeChat writes it"

func TestParseEnvelope(t *testing.T) {
	const encrypt = "<Encrypt><![CDATA[abc+/=]]></Encrypt>"
	const head = "<ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType>"
	message := func(typed string) string {
		return "<xml>" + head + "<Content><![CDATA[" + typed + "]]></Content><MsgId>1</MsgId>" + encrypt + "</xml>"
	}
	for name, test := range map[string]struct {
		body string
		// alone and beside are why the body is refused where Encrypt stands alone and beside a cleartext; empty where it is taken.
		alone, beside string
		form          Form
		cleartext     bool
	}{
		"the secure mode":                             {body: "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>" + encrypt + "</xml>"},
		"the secure mode, pretty":                     {body: "<xml>\n    <ToUserName><![CDATA[gh_1]]></ToUserName>\n    " + encrypt + "\n</xml>\n"},
		"an envelope of the Open Platform":            {body: "<xml><AppId>wx1</AppId>" + encrypt + "</xml>"},
		"an envelope of WeCom":                        {body: "<xml><ToUserName>ww1</ToUserName>" + encrypt + "<AgentID>218</AgentID></xml>"},
		"an envelope of WeCom without a number":       {body: "<xml><ToUserName>ww1</ToUserName><AgentID/>" + encrypt + "<AgentID></AgentID></xml>"},
		"a field that nobody knows":                   {body: "<xml><New>1</New>" + encrypt + "</xml>", cleartext: true},
		"a declaration":                               {body: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml>" + encrypt + "</xml>"},
		"a declaration with standalone":               {body: "<?xml version='1.0' encoding = 'utf-8' standalone=\"no\" ?><xml>" + encrypt + "</xml>"},
		"a byte order mark":                           {body: "\xef\xbb\xbf<xml>" + encrypt + "</xml>"},
		"white space around the document":             {body: "\r\n<xml>" + encrypt + "</xml>\r\n"},
		"white space around the text":                 {body: "<xml><Encrypt>\n  <![CDATA[abc+/=]]>\r\n\t</Encrypt></xml>"},
		"white space within the section":              {body: "<xml><Encrypt><![CDATA[\nabc+/= ]]></Encrypt></xml>"},
		"a text without CDATA":                        {body: "<xml><Encrypt>abc+/=</Encrypt></xml>"},
		"a field of the longest text beside it":       {body: "<xml><ToUserName>" + strings.Repeat("a", maxElementText) + "</ToUserName>" + encrypt + "</xml>"},
		"a field of a longer text":                    {body: "<xml><ToUserName>" + strings.Repeat("a", maxElementText+1) + "</ToUserName>" + encrypt + "</xml>", alone: notWeChats, cleartext: true},
		"15 fields beside it":                         {body: "<xml>" + strings.Repeat("<AppId>1</AppId>", 15) + encrypt + "</xml>"},
		"16 fields beside it":                         {body: "<xml>" + strings.Repeat("<AppId>1</AppId>", 16) + encrypt + "</xml>", alone: notWeChats, cleartext: true},
		"a message beside it":                         {body: message("hi"), cleartext: true},
		"an event beside it":                          {body: "<xml><MsgType>event</MsgType><Event>subscribe</Event><EventKey></EventKey>" + encrypt + "</xml>", cleartext: true},
		"a message behind it":                         {body: "<xml><ToUserName>gh_1</ToUserName>" + encrypt + head[len("<ToUserName><![CDATA[gh_1]]></ToUserName>"):] + "<Content>hi</Content></xml>", cleartext: true},
		"a message with levels beside it":             {body: "<xml>" + head + "<Info><X>1</X></Info>" + encrypt + "</xml>", alone: notWeChats, cleartext: true},
		"a text with a control character beside it":   {body: message("a\x1db\x00"), alone: notWeChats, cleartext: true},
		"half a character beside it":                  {body: message("a\xe4\xb8"), cleartext: true},
		"the end of a section beside it":              {body: message("a]]>b"), alone: notWeChats, cleartext: true},
		"markup beside it":                            {body: message("a]]>b<status>x"), alone: notWeChats, cleartext: true},
		"markup that ends the document beside it":     {body: message("]]></Content></xml>"), alone: notWeChats, cleartext: true},
		"an Encrypt that a user typed":                {body: message("x]]></Content><Encrypt>forged</Encrypt><Content><![CDATA[y"), alone: "twice", cleartext: true},
		"the same, at the end of his text":            {body: message("x]]></Content><Encrypt>forged</Encrypt>"), alone: notWeChats, cleartext: true},
		"the same, with what WeChat writes behind it": {body: message("x]]></Content><Encrypt>forged</Encrypt><MsgId>1</MsgId><Content><![CDATA[y"), alone: "twice", cleartext: true},
		"the same, and the end of the document":       {body: message("x]]></Content><MsgId>1</MsgId><Encrypt>forged</Encrypt></xml>"), alone: notWeChats, cleartext: true},
		"a thousand of them":                          {body: message(strings.Repeat("]]></Content><Encrypt>forged</Encrypt><Content><![CDATA[", 1000)), alone: notWeChats, cleartext: true},
		"Encrypt twice":                               {body: "<xml>" + encrypt + encrypt + "</xml>", alone: "twice", beside: "twice"},
		"Encrypt before and behind a message":         {body: "<xml>" + encrypt + head + "<Content>hi</Content>" + encrypt + "</xml>", alone: "twice", beside: "twice"},
		"Encrypt beside a twin in lower case":         {body: "<xml>" + encrypt + "<encrypt/></xml>", alone: "twice", beside: "twice"},
		"an empty Encrypt before another":             {body: "<xml><Encrypt/>" + encrypt + "</xml>", alone: "twice", beside: "twice"},
		"a lower-case name, which nobody sends":       {body: "<xml><encrypt>a</encrypt></xml>", alone: "no Encrypt", beside: "no Encrypt"},
		"no Encrypt":                                  {body: "<xml>" + head + "</xml>", alone: "no Encrypt", beside: "no Encrypt"},
		"an Encrypt that is nested":                   {body: "<xml><a>" + encrypt + "</a></xml>", alone: notWeChats, beside: "no Encrypt"},
		"an Encrypt of a child's own":                 {body: "<xml><a><Encrypt>other</Encrypt></a>" + encrypt + "</xml>", alone: notWeChats, cleartext: true},
		"an Encrypt of a child's own, behind it":      {body: "<xml>" + encrypt + "<a><b><Encrypt>other</Encrypt></b></a></xml>", alone: notWeChats, cleartext: true},
		"an Encrypt that is the root":                 {body: encrypt, alone: notWeChats, beside: notWeChats},
		"an empty Encrypt":                            {body: "<xml><Encrypt><![CDATA[ ]]></Encrypt></xml>", alone: "empty", beside: "empty"},
		"an Encrypt with a child":                     {body: "<xml><Encrypt>a<b/>c</Encrypt></xml>", alone: notWeChats, beside: "no Encrypt"},
		"an Encrypt with a comment":                   {body: "<xml><Encrypt>a<!-- b -->c</Encrypt></xml>", alone: notWeChats, beside: "no Encrypt"},
		"a text in two CDATA sections":                {body: "<xml><Encrypt><![CDATA[abc]]><![CDATA[+/=]]></Encrypt></xml>", alone: notWeChats, beside: "no Encrypt"},
		"a character reference":                       {body: "<xml><Encrypt>abc&#43;/&#x3d;</Encrypt></xml>", alone: notWeChats, beside: "no Encrypt"},
		"an entity that nobody declared":              {body: "<xml><Encrypt>&nbsp;a</Encrypt></xml>", alone: notWeChats, beside: "no Encrypt"},
		"a section that never ends":                   {body: "<xml><Encrypt><![CDATA[abc</Encrypt></xml>", alone: notWeChats, beside: "no Encrypt"},
		"attributes of Encrypt":                       {body: `<xml><Encrypt b="2">abc+/=</Encrypt></xml>`, alone: notWeChats, beside: "no Encrypt"},
		"attributes of the root":                      {body: `<xml a="1">` + encrypt + `</xml>`, alone: notWeChats, beside: notWeChats},
		"comments around":                             {body: "<!-- a --><xml>" + encrypt + "</xml><!-- d -->", alone: notWeChats, beside: notWeChats},
		"a comment beside it":                         {body: "<xml><!-- b -->" + encrypt + "</xml>", alone: notWeChats, cleartext: true},
		"a prefix":                                    {body: `<xml><p:Encrypt>a</p:Encrypt></xml>`, alone: notWeChats, beside: "no Encrypt"},
		"a root of another name":                      {body: "<html>" + encrypt + "</html>", alone: notWeChats, beside: notWeChats},
		"a name that does not end as it began":        {body: "<xml><Encrypt>abc</Encrypted></xml>", alone: notWeChats, beside: "no Encrypt"},
		"a name that is too long":                     {body: "<xml>" + strings.ReplaceAll(encrypt, "Encrypt", strings.Repeat("E", maxElementName+1)) + "</xml>", alone: notWeChats, beside: "no Encrypt"},
		"no name":                                     {body: "<xml><>abc</></xml>", alone: notWeChats, beside: "no Encrypt"},
		"a DOCTYPE":                                   {body: "<!DOCTYPE xml><xml>" + encrypt + "</xml>", alone: notWeChats, beside: notWeChats},
		"a DOCTYPE inside":                            {body: "<xml><!DOCTYPE xml>" + encrypt + "</xml>", alone: notWeChats, cleartext: true},
		"a processing instruction":                    {body: "<?php ?><xml>" + encrypt + "</xml>", alone: notWeChats, beside: notWeChats},
		"a second declaration":                        {body: `<?xml version="1.0"?><?xml version="1.0"?><xml>` + encrypt + "</xml>", alone: notWeChats, beside: notWeChats},
		"a declaration behind white space":            {body: "\n" + `<?xml version="1.0"?><xml>` + encrypt + "</xml>", alone: notWeChats, beside: notWeChats},
		"a declaration of another encoding":           {body: `<?xml version="1.0" encoding="gbk"?><xml>` + encrypt + "</xml>", alone: notWeChats, beside: notWeChats},
		"XML 1.1":                                     {body: `<?xml version="1.1"?><xml>` + encrypt + "</xml>", alone: notWeChats, beside: notWeChats},
		"text behind the root":                        {body: "<xml>" + encrypt + "</xml>x", alone: notWeChats, beside: notWeChats},
		"text before the root":                        {body: "x<xml>" + encrypt + "</xml>", alone: notWeChats, beside: notWeChats},
		"text beside Encrypt":                         {body: "<xml>" + encrypt + "x</xml>", alone: notWeChats, cleartext: true},
		"two roots":                                   {body: "<xml>" + encrypt + "</xml><xml></xml>", alone: notWeChats, cleartext: true},
		"a root that stays open":                      {body: "<xml>" + encrypt, alone: notWeChats, beside: notWeChats},
		"a root and nothing":                          {body: "<xml></xml>", alone: "no Encrypt", beside: "no Encrypt"},
		"a root without an inside":                    {body: "<xml/>", alone: notWeChats, beside: notWeChats},
		"a form":                                      {body: "Encrypt=a", alone: notWeChats, beside: notWeChats},
		"nothing":                                     {body: "", alone: notWeChats, beside: notWeChats},

		"JSON":                                         {body: `{"ToUserName":"gh_1","Encrypt":"abc+/="}`, form: FormJSON},
		"JSON with a byte order mark":                  {body: "\xef\xbb\xbf{\"Encrypt\":\"abc+/=\"}", form: FormJSON},
		"JSON with escapes in the text":                {body: `{"Encrypt":"abc\u002b\/="}`, form: FormJSON},
		"JSON with an escape of more than a byte":      {body: `{"Encrypt":"abc\u012b/="}`, alone: notWeChats, beside: notWeChats},
		"JSON with an escape of two bytes":             {body: `{"Encrypt":"abc\u102b/="}`, alone: notWeChats, beside: notWeChats},
		"JSON with white space":                        {body: " {\n\t\"Encrypt\" : \" abc+/= \"\r\n}\n", form: FormJSON},
		"JSON with lower-case names":                   {body: `{"encrypt":"abc+/=","agentid":218}`, form: FormJSONLower},
		"JSON with a member that nobody knows":         {body: `{"new":null,"Encrypt":"abc+/="}`, form: FormJSON, cleartext: true},
		"JSON with a cleartext of every kind of value": {body: `{"a":[1,{"b":"]\"}"}],"c":null,"d":true,"e":{},"f":-1.5e3,"Encrypt":"abc+/="}`, form: FormJSON, alone: notWeChats, cleartext: true},
		"JSON with texts of every kind":                {body: "{\"a\":\"\x1d\xff\\\\\",\"b\":\"\\\"\",\"Encrypt\":\"abc+/=\"}", form: FormJSON, cleartext: true},
		"JSON with an Encrypt that a user typed":       {body: `{"MsgType":"text","Content":"\",\"Encrypt\":\"forged","Encrypt":"abc+/="}`, form: FormJSON, cleartext: true},
		"JSON with a text that reads Encrypt":          {body: `{"Encrypt":"abc+/=","a":["Encrypt",{"b":"Encrypt"}]}`, form: FormJSON, alone: notWeChats, cleartext: true},
		"JSON with an Encrypt of a member's own":       {body: `{"Encrypt":"abc+/=","a":{"Encrypt" : "forged"}}`, form: FormJSON, alone: notWeChats, cleartext: true},
		"15 members beside it":                         {body: "{" + many(15, `"f%d":1,`) + `"Encrypt":"abc+/="}`, form: FormJSON, cleartext: true},
		"16 members beside it":                         {body: "{" + many(16, `"f%d":1,`) + `"Encrypt":"abc+/="}`, form: FormJSON, alone: notWeChats, cleartext: true},
		"255 members beside it":                        {body: "{" + many(255, `"f%d":1,`) + `"Encrypt":"abc+/="}`, form: FormJSON, alone: notWeChats, cleartext: true},
		"256 members beside it":                        {body: "{" + many(256, `"f%d":1,`) + `"Encrypt":"abc+/="}`, alone: notWeChats, beside: notWeChats},
		"JSON with a depth of 32":                      {body: `{"Encrypt":"abc+/=","a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + "}", form: FormJSON, alone: notWeChats, cleartext: true},
		"JSON with a depth of 33":                      {body: `{"Encrypt":"abc+/=","a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", alone: notWeChats, beside: notWeChats},
		"JSON with Encrypt twice":                      {body: `{"Encrypt":"a","Encrypt":"b"}`, alone: "twice", beside: "twice"},
		"JSON with a twin in lower case":               {body: `{"Encrypt":"a","encrypt":"b"}`, alone: "twice", beside: "twice"},
		"JSON with a twin in capitals":                 {body: `{"Encrypt":"a","ENCRYPT":"b"}`, alone: "twice", beside: "twice"},
		"JSON with an escape in a name":                {body: `{"Encrypt":"a","\u0045ncrypt":"b"}`, alone: notWeChats, beside: notWeChats},
		"JSON with a name in capitals":                 {body: `{"ENCRYPT":"a"}`, alone: "no Encrypt", beside: "no Encrypt"},
		"JSON without Encrypt":                         {body: `{}`, alone: "no Encrypt", beside: "no Encrypt"},
		"JSON with an Encrypt that is nested":          {body: `{"a":{"Encrypt":"a"}}`, alone: notWeChats, beside: "no Encrypt"},
		"JSON with an empty Encrypt":                   {body: `{"Encrypt":""}`, alone: "empty", beside: "empty"},
		"JSON with an Encrypt that is a number":        {body: `{"Encrypt":1}`, alone: "not a text", beside: "not a text"},
		"JSON with an Encrypt that is a list":          {body: `{"Encrypt":["a"]}`, alone: notWeChats, beside: "not a text"},
		"JSON with an Encrypt that is null":            {body: `{"Encrypt":null}`, alone: "not a text", beside: "not a text"},
		"JSON with an escape that is none":             {body: `{"Encrypt":"\x"}`, alone: notWeChats, beside: notWeChats},
		"JSON behind JSON":                             {body: `{"Encrypt":"a"}{"Encrypt":"b"}`, alone: notWeChats, beside: notWeChats},
		"JSON with a brace too many":                   {body: `{"Encrypt":"a"}}`, alone: notWeChats, beside: notWeChats},
		"JSON with a comma at the end":                 {body: `{"Encrypt":"a",}`, alone: notWeChats, beside: notWeChats},
		"JSON with two commas":                         {body: `{"a":1,,"Encrypt":"a"}`, alone: notWeChats, beside: notWeChats},
		"JSON with a wrong bracket":                    {body: `{"Encrypt":"a"]`, alone: notWeChats, beside: notWeChats},
		"JSON with a wrong bracket inside":             {body: `{"a":[1},"Encrypt":"a"}`, alone: notWeChats, beside: notWeChats},
		"JSON with a bracket that stays open":          {body: `{"a":[1,"Encrypt":"a"}`, alone: notWeChats, beside: notWeChats},
		"JSON without a colon":                         {body: `{"Encrypt" "a"}`, alone: notWeChats, beside: notWeChats},
		"JSON without a value":                         {body: `{"Encrypt":}`, alone: notWeChats, beside: notWeChats},
		"JSON with a name that is a number":            {body: `{1:"a"}`, alone: notWeChats, beside: notWeChats},
		"JSON with a value that is a word":             {body: `{"a":word,"Encrypt":"a"}`, alone: notWeChats, beside: notWeChats},
		"JSON with a comment":                          {body: `{/* a */"Encrypt":"a"}`, alone: notWeChats, beside: notWeChats},
		"JSON that is cut off":                         {body: `{"Encrypt":"a`, alone: notWeChats, beside: notWeChats},
		"JSON that is cut off behind a backslash":      {body: `{"Encrypt":"a\"`, alone: notWeChats, beside: notWeChats},
		"JSON that is cut off behind a value":          {body: `{"Encrypt":"a"`, alone: notWeChats, beside: notWeChats},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cleartext := range []bool{false, true} {
				refused := map[bool]string{false: test.alone, true: test.beside}[cleartext]
				got, err := ParseEnvelope([]byte(test.body), cleartext)
				if refused == "" {
					want := Envelope{Encrypt: []byte("abc+/="), Form: test.form, Cleartext: test.cleartext, start: got.start, end: got.end}
					if diff := cmp.Diff(want, got, cmp.AllowUnexported(Envelope{})); diff != "" || err != nil {
						t.Errorf("with cleartext %v: error %v; parsed otherwise (-want +got):\n%s", cleartext, err, diff)
					}
					continue
				}
				var refusal *Refusal
				if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || !strings.Contains(refusal.Detail, refused) || got.Encrypt != nil {
					t.Errorf("with cleartext %v: got %+v, error %v, want a refusal with %q", cleartext, got, err, refused)
				}
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
		"XML with Encrypt in the head":       {body: "<xml><MsgType>1</MsgType><Encrypt>e</Encrypt><b>2</b></xml>", want: "<xml><MsgType>1</MsgType><b>2</b></xml>"},
		"XML with Encrypt last":              {body: "<xml><a>1</a><Encrypt><![CDATA[e]]></Encrypt></xml>\n", want: "<xml><a>1</a></xml>\n"},
		"XML with Encrypt and a number last": {body: "<xml><a>1</a> <Encrypt> e </Encrypt> <MsgId>1</MsgId></xml>", want: "<xml><a>1</a>  <MsgId>1</MsgId></xml>"},
		"XML with a byte order mark":         {body: "\xef\xbb\xbf<xml><a>1</a><Encrypt>e</Encrypt></xml>", want: "\xef\xbb\xbf<xml><a>1</a></xml>"},
		"XML whose other bytes stay":         {body: "<?xml version=\"1.0\"?>\r\n<xml><a><![CDATA[你好\x1d]]></a ><!-- c -->\n<Encrypt>e</Encrypt></xml>", want: "<?xml version=\"1.0\"?>\r\n<xml><a><![CDATA[你好\x1d]]></a ><!-- c -->\n</xml>"},
		"XML with one that a user typed":     {body: "<xml><Content><![CDATA[]]></Content><Encrypt>f</Encrypt>]]></Content><Encrypt>e</Encrypt></xml>", want: "<xml><Content><![CDATA[]]></Content><Encrypt>f</Encrypt>]]></Content></xml>"},
		"JSON with Encrypt first":            {body: `{"Encrypt":"e","a":1,"b":2}`, want: `{"a":1,"b":2}`},
		"JSON with Encrypt in the middle":    {body: `{"a":1,"Encrypt":"e","b":2}`, want: `{"a":1,"b":2}`},
		"JSON with Encrypt last":             {body: `{"a":1,"b":2,"Encrypt":"e"}`, want: `{"a":1,"b":2}`},
		"JSON in lower case":                 {body: `{"encrypt":"e","msgtype":"text"}`, want: `{"msgtype":"text"}`},
		"JSON with white space":              {body: "{ \"a\" : 1 ,\n \"Encrypt\" : \"e\" ,\n \"b\" : 2 }", want: "{ \"a\" : 1 ,\n \"b\" : 2 }"},
		"JSON with white space and it first": {body: "\xef\xbb\xbf{ \"Encrypt\" : \"e\" , \"a\" : 1 }", want: "\xef\xbb\xbf{ \"a\" : 1 }"},
		"JSON whose numbers stay as written": {body: `{"MsgId":92233720368547758070,"Encrypt":"e","x":1.0e0}`, want: `{"MsgId":92233720368547758070,"x":1.0e0}`},
		"a body without Encrypt stays":       {body: "<xml><a>1</a></xml>", want: "<xml><a>1</a></xml>"},
		"one of a child's own stays":         {body: "<xml><a><Encrypt>e</Encrypt></a></xml>", want: "<xml><a><Encrypt>e</Encrypt></a></xml>"},
		"a body that cannot be read stays":   {body: "<xml><a>", want: "<xml><a>"},
		"an empty body stays":                {body: "", want: ""},
		"XML with an address only":           {body: "<xml><ToUserName>gh_1</ToUserName><Encrypt>e</Encrypt></xml>", refused: "no message beside Encrypt"},
		"XML with Encrypt only":              {body: "<xml><Encrypt>e</Encrypt></xml>", refused: "no message beside Encrypt"},
		"XML with two of them":               {body: "<xml><a>1</a><Encrypt>e</Encrypt><Encrypt>f</Encrypt></xml>", refused: "twice"},
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
			if back, err := ParseEnvelope(got, true); string(back.Encrypt) != "a+/=" || back.Form != test.form || err != nil {
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
				if count := fieldsOf(t, reply); count != 4 {
					t.Errorf("it has %d fields: %s", count, reply)
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
		"JSON to JSON":                     {`{"demo_resp":"good luck"}`, FormJSON, ""},
		"JSON to JSON in lower case":       {` {"msgtype":"stream"} `, FormJSONLower, ""},
		"JSON to a message without a form": {`{}`, FormOther, ""},
		"XML to a message without a form":  {"<xml/>", FormOther, ""},
		"success to JSON":                  {"success\n", FormJSON, ""},
		"nothing to JSON":                  {"", FormJSON, ""},
		"XML to JSON":                      {"<xml/>", FormJSON, "answer in JSON"},
		"XML to JSON in lower case":        {"<xml/>", FormJSONLower, "answer in JSON"},
		"JSON to XML":                      {"{}", FormXML, "answer in XML"},
		"a list to JSON":                   {"[]", FormJSON, "neither empty"},
		"success in quotes to JSON":        {`"success"`, FormJSON, "neither empty"},
		"two objects":                      {"{}{}", FormJSON, "not one JSON object"},
		"half an object":                   {`{"a":`, FormJSON, "not one JSON object"},
		"an object that is no UTF-8":       {"{\"a\":\"\xff\"}", FormJSON, "UTF-8"},
		"a root with a namespace":          {`<xml xmlns="urn:a"/>`, FormXML, "root of the reply is not <xml>"},
		"a comment without a root":         {"<!-- a -->", FormXML, "not one complete"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckReply([]byte(test.body), test.message)
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
		})
	}
}

// fieldsOf counts the fields of a document with the parsers of the standard library.
func fieldsOf(t *testing.T, document []byte) int {
	t.Helper()
	if FormOf(document) == FormJSON {
		var members map[string]any
		if err := json.Unmarshal(document, &members); err != nil {
			t.Fatal(err)
		}
		return len(members)
	}
	var parsed struct {
		Fields []struct{} `xml:",any"`
	}
	if err := xml.Unmarshal(document, &parsed); err != nil {
		t.Fatal(err)
	}
	return len(parsed.Fields)
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

// FuzzParseEnvelope holds that what passes is a text of the body that can be put into an envelope again, and that what passes without
// a cleartext passes with one.
func FuzzParseEnvelope(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		alone, aloneErr := ParseEnvelope(body, false)
		envelope, err := ParseEnvelope(body, true)
		if aloneErr == nil && err == nil && !bytes.Equal(alone.Encrypt, envelope.Encrypt) {
			t.Errorf("%q alone, and %q beside a cleartext", alone.Encrypt, envelope.Encrypt)
		}
		if err != nil {
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != ReasonMalformed || envelope.Encrypt != nil {
				t.Errorf("got %+v and the unclassified error %v", envelope, err)
			}
			return
		}
		if len(envelope.Encrypt) == 0 || envelope.start >= envelope.end || envelope.end > len(body) {
			t.Errorf("passed %q from %d to %d of %d bytes", envelope.Encrypt, envelope.start, envelope.end, len(body))
		}
		if envelope.Form == FormXML && !bytes.Contains(body[envelope.start:envelope.end], envelope.Encrypt) {
			t.Errorf("%q is not a part of %q", envelope.Encrypt, body[envelope.start:envelope.end])
		}
		if envelope.Form != FormXML && (!utf8.Valid(envelope.Encrypt) || bytes.ContainsAny(envelope.Encrypt, "\x00")) {
			return // no JSON holds it as it is
		}
		again, err := ParseEnvelope(RequestEnvelope(envelope.Form, nil, string(envelope.Encrypt)), false)
		if !bytes.Equal(again.Encrypt, envelope.Encrypt) || again.Form != envelope.Form || err != nil {
			t.Errorf("in an envelope again, %+v reads as %+v, error %v", envelope, again, err)
		}
	})
}

// FuzzWithoutEncrypt holds that what is taken out is Encrypt and nothing else.
func FuzzWithoutEncrypt(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		clear, refusal := WithoutEncrypt(body)
		envelope, err := findEncrypt(body, true)
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
		taken := body[envelope.start:envelope.end]
		if !bytes.Equal(slices.Concat(body[:envelope.start], taken, body[envelope.end:]), body) || len(clear) != len(body)-len(taken) {
			t.Errorf("%q is left of %q", clear, body)
		}
		if _, err := findEncrypt(clear, true); err == nil && FormOf(body) != FormXML {
			t.Errorf("one more stays in %q", clear)
		}
		if json.Valid(body) && !json.Valid(clear) {
			t.Errorf("%q is no JSON any more", clear)
		}
	})
}
