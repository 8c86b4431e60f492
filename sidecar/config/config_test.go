// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func good() Config {
	return Config{
		Generation: "g-1", Endpoint: "team-a/shop", Platform: PlatformOfficialAccount, AppID: "wx1", MessageMode: ModePlaintext,
		Host: "wx.example.com", Path: "/weixin", Freshness: Duration(5 * time.Minute),
		Backend: Backend{URL: "http://app.team-a.svc:8080", Path: "/weixin/", Deadline: Duration(4500 * time.Millisecond)},
	}
}

func TestParseReadsWhatTheOperatorWrites(t *testing.T) {
	want := Document{Config: good(), Credentials: Credentials{Pairs: []Pair{{Generation: 1, Token: "a-fine-token"}}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v; read otherwise (-want +got):\n%s", err, diff)
	}
}

// TestHalvesAreReadApart: what is wrong with one half of a live document keeps the operator from reading that half alone, and a sidecar
// from taking any of it.
func TestHalvesAreReadApart(t *testing.T) {
	const config = `"generation":"g-1","endpoint":"a/b","platform":"OfficialAccount","appID":"wx1","messageMode":"Plaintext","path":"/weixin","backend":{"url":"http://app:80"}`
	const credentials = `"credentials":{"pairs":[{"generation":1,"token":"a-fine-token"}]}`
	for name, test := range map[string]struct {
		text                         string
		config, credentials, version bool
	}{
		"whole":                    {`{` + config + `,` + credentials + `}`, true, true, true},
		"a field of a newer one":   {`{"colour":"red",` + config + `,` + credentials + `}`, false, true, true},
		"of a newer version":       {`{"version":9,` + config + `,` + credentials + `}`, false, true, true},
		"a configuration without":  {`{` + config + `}`, true, false, true},
		"credentials that are odd": {`{` + config + `,"credentials":{"pairs":[]}}`, true, false, true},
		"credentials of a newer":   {`{` + config + `,"credentials":{"pairs":[{"token":"a-fine-token","colour":"red"}]}}`, true, false, true},
		"credentials alone":        {`{` + credentials + `}`, false, true, true},
		"two of them":              {`{` + config + `,` + credentials + `} {}`, false, false, false},
		"half a text":              {`{` + config + `,"creden`, false, false, false},
		"nothing":                  {``, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, configErr := ParseConfig([]byte(test.text))
			_, credentialsErr := ReadCredentials([]byte(test.text))
			generation, generationErr := ReadGeneration([]byte(test.text))
			if (configErr == nil) != test.config || (credentialsErr == nil) != test.credentials || (generationErr == nil) != test.version {
				t.Errorf("configuration: %v; credentials: %v; generation %q: %v", configErr, credentialsErr, generation, generationErr)
			}
			if _, err := Parse([]byte(test.text)); (err == nil) != (test.config && test.credentials) {
				t.Errorf("as a whole: %v", err)
			}
		})
	}
}

// many is a query of so many parameters.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&a%d=5", i)
	}
	return b.String()[1:]
}

func TestVersion(t *testing.T) {
	secure := func(c *Config) {
		c.Backend.URL, c.Backend.TLS = "https://app.team-a.svc:8443", &BackendTLS{}
	}
	for name, test := range map[string]struct {
		edit func(*Config)
		want int
	}{
		"what the first sidecars knew": {func(c *Config) { c.Rules = []Rule{{Match: Match{Event: "e"}, Action: ActionForward}} }, VersionFirst},
		"a backend by HTTPS":           {secure, VersionSecond},
		"a query":                      {func(c *Config) { c.Query = "id=5" }, VersionSecond},
		"the root":                     {func(c *Config) { c.Path = "/" }, VersionSecond},
		"any receiver":                 {func(c *Config) { c.ReceiverIDs = []string{"wx1", "*"} }, VersionSecond},
		"that of a rule":               {func(c *Config) { c.Rules = []Rule{{Action: ActionForward, Backend: &Backend{TLS: &BackendTLS{}}}} }, VersionSecond},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			test.edit(&c)
			if got := c.LowestVersion(); got != test.want {
				t.Errorf("the lowest version is %d, want %d", got, test.want)
			}
		})
	}
}

// TestOlderSidecarsSayWhatTheyNeed: a file for newer sidecars is refused for its version, not for what is new in it.
func TestOlderSidecarsSayWhatTheyNeed(t *testing.T) {
	for name, test := range map[string]struct {
		file    string
		refused string
	}{
		"a newer version":                {`{"version": 3}`, "reads none after 2: use a newer image"},
		"a newer version with new words": {`{"version": 3, "colour": "red"}`, "of version 3"},
		"new words of this version":      {`{"version": 2, "colour": "red"}`, "unknown field"},
		"no version is the first":        {`{"colour": "red"}`, "unknown field"},
		"a version that is no number":    {`{"version": "2"}`, "field version cannot be a JSON string"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(test.file)); err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want one with %q", err, test.refused)
			}
		})
	}
	for file, want := range map[string]int{`{}`: VersionFirst, `{"version": 7, "colour": "red"}`: 7, `{"version": 0}`: VersionFirst} {
		if got, err := ReadVersion([]byte(file)); got != want || err != nil {
			t.Errorf("the version of %s is %d, error %v; want %d", file, got, err, want)
		}
	}
	if _, err := ReadVersion([]byte(`{"version`)); err == nil {
		t.Error("half a file has a version")
	}
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		edit    func(*Config)
		refused string
	}{
		"good":                         {func(*Config) {}, ""},
		"every host":                   {func(c *Config) { c.Host = "" }, ""},
		"the request's own path":       {func(c *Config) { c.Backend.Path = "" }, ""},
		"no generation":                {func(c *Config) { c.Generation = "" }, "generation is empty"},
		"a header in the endpoint":     {func(c *Config) { c.Endpoint = "a/b\r\nX: 1" }, "endpoint must be"},
		"another platform":             {func(c *Config) { c.Platform = "Telegram" }, "or a newer image"},
		"another mode":                 {func(c *Config) { c.MessageMode = "Sealed" }, "or a newer image"},
		"a mode where there is none":   {func(c *Config) { c.Platform = PlatformWeCom }, "must be left out"},
		"the platform's own mode":      {func(c *Config) { c.Platform, c.MessageMode = PlatformWeCom, "" }, ""},
		"a receiver by the path":       {func(c *Config) { c.Path, c.ReceiverIDs = "/a/$CORPID$", []string{"", "$CORPID$"} }, ""},
		"a receiver by no path":        {func(c *Config) { c.ReceiverIDs = []string{"$CORPID$"} }, "needs that placeholder"},
		"a receiver by the query":      {func(c *Config) { c.Query, c.ReceiverIDs = "id=/$CORPID$", []string{"$CORPID$"} }, ""},
		"any receiver":                 {func(c *Config) { c.ReceiverIDs = []string{"*"} }, ""},
		"the root":                     {func(c *Config) { c.Path = "/" }, ""},
		"a placeholder alone":          {func(c *Config) { c.Path = "/$APPID$" }, ""},
		"a query":                      {func(c *Config) { c.Query = "id=5&kind=%E4%BD%A0&flag&_.~-=:/@!()*,+-&empty=" }, ""},
		"one with its question mark":   {func(c *Config) { c.Query = "?id=5" }, "without the question mark"},
		"one with a header in it":      {func(c *Config) { c.Query = "id=5 HTTP/1.1\r\nX: 1" }, "query must be like"},
		"one with a fragment":          {func(c *Config) { c.Query = "id=5#a" }, "query must be like"},
		"one with a semicolon":         {func(c *Config) { c.Query = "id=5;a=b" }, "query must be like"},
		"one with half an escape":      {func(c *Config) { c.Query = "id=%5" }, "query must be like"},
		"one with a dollar":            {func(c *Config) { c.Query = "id=$5" }, "query must be like"},
		"one that is too long":         {func(c *Config) { c.Query = "id=" + strings.Repeat("5", MaxQuerySize) }, "query must be like"},
		"one without a name":           {func(c *Config) { c.Query = "=5" }, "query must be like"},
		"one with an empty pair":       {func(c *Config) { c.Query = "a=5&" }, "query must be like"},
		"one with a placeholder name":  {func(c *Config) { c.Query = "$APPID$=5" }, "query must be like"},
		"one with a name twice":        {func(c *Config) { c.Query = "id=5&a&id=6" }, ""},
		"one with too many":            {func(c *Config) { c.Query = many(17) }, "at most 256 bytes and 16 parameters"},
		"one with as many as may be":   {func(c *Config) { c.Query = many(16) }, ""},
		"one with an escape in a name": {func(c *Config) { c.Query = "msg%5Fsignature=5" }, "query must be like"},
		"one with a signature":         {func(c *Config) { c.Query = "msg_signature=5" }, "msg_signature, which WeChat adds"},
		"one with an openid":           {func(c *Config) { c.Query = "openid=5" }, "openid, which WeChat adds"},
		"one with encrypt_type":        {func(c *Config) { c.Query = "encrypt_type=AES" }, "encrypt_type, which WeChat adds"},
		"the same of WeCom's":          {func(c *Config) { c.Platform, c.MessageMode, c.Query = PlatformWeCom, "", "encrypt_type=AES&openid=5" }, ""},
		"a timestamp of WeCom's":       {func(c *Config) { c.Platform, c.MessageMode, c.Query = PlatformWeCom, "", "timestamp=5" }, "timestamp, which WeChat adds"},
		"a placeholder in both":        {func(c *Config) { c.Path, c.Query = "/$APPID$", "id=$APPID$" }, "one placeholder"},
		"two placeholders":             {func(c *Config) { c.Path = "/$APPID$/$CORPID$" }, "one placeholder"},
		"half a segment":               {func(c *Config) { c.Path = "/a$APPID$" }, "must be like"},
		"an unverified payment":        {func(c *Config) { c.Platform, c.MessageMode, c.AuditUntil = PlatformPay, "", new(time.Time) }, "payments"},
		"an unverified, decrypted one": {func(c *Config) { c.AuditUntil = new(time.Time) }, "payload Original"},
		"an acknowledged payment": {func(c *Config) {
			c.Platform, c.MessageMode, c.Backend.OnDeadline = PlatformPay, "", OnDeadlineAcknowledge
		}, "never acknowledged"},
		"another form": {func(c *Config) { c.Backend.Payload = "Raw" }, "backend.payload"},
		"a payment that waits for a retry": {func(c *Config) {
			c.Platform, c.MessageMode, c.Backend.OnDeadline = PlatformPay, "", OnDeadlineAwaitRetry
		}, "onDeadline"},
		"another end":                {func(c *Config) { c.Backend.OnDeadline = "Wait" }, "backend.onDeadline"},
		"a rule for everything":      {func(c *Config) { c.Rules = []Rule{{Action: ActionDiscard}} }, "match is empty"},
		"a rule to nowhere":          {func(c *Config) { c.Rules = []Rule{{Match: Match{Event: "e"}, Action: "Drop"}} }, "rules[0].action"},
		"a good rule":                {func(c *Config) { c.Rules = []Rule{{Match: Match{Event: "e"}, Action: ActionForward}} }, ""},
		"a rule with two ends":       {func(c *Config) { c.Rules = []Rule{{Match{Event: "e"}, ActionDiscard, &Backend{}}} }, "leave it out"},
		"a rule to a bad app":        {func(c *Config) { c.Rules = []Rule{{Match{Event: "e"}, ActionForward, &Backend{}}} }, "rules[0].backend.url"},
		"a domain file":              {func(c *Config) { c.DomainFiles = []DomainFile{{"MP_verify_a.txt", "a"}} }, ""},
		"a domain file twice":        {func(c *Config) { c.DomainFiles = []DomainFile{{"a.txt", "a"}, {"a.txt", "a"}} }, "twice"},
		"a file of the web":          {func(c *Config) { c.DomainFiles = []DomainFile{{"Robots.txt", "a"}} }, "none of"},
		"a file in a folder":         {func(c *Config) { c.DomainFiles = []DomainFile{{"a/b.txt", "a"}} }, "must be like"},
		"a domain file too long":     {func(c *Config) { c.DomainFiles = []DomainFile{{"a.txt", strings.Repeat("a", 4097)}} }, "at most 4096"},
		"an appID with a space":      {func(c *Config) { c.AppID = "wx 1" }, "appID"},
		"a host with a port":         {func(c *Config) { c.Host = "wx.example.com:80" }, "host must be"},
		"a path with a slash behind": {func(c *Config) { c.Path = "/weixin/" }, "without trailing slash"},
		"the shortest freshness":     {func(c *Config) { c.Freshness = Duration(MinFreshness) }, ""},
		"a freshness too short":      {func(c *Config) { c.Freshness = Duration(MinFreshness - 1) }, "freshness"},
		"the longest freshness":      {func(c *Config) { c.Freshness = Duration(MaxFreshness) }, ""},
		"a freshness too long":       {func(c *Config) { c.Freshness = Duration(MaxFreshness + 1) }, "freshness"},
		"the shortest deadline":      {func(c *Config) { c.Backend.Deadline = Duration(MinDeadline) }, ""},
		"the default deadline":       {func(c *Config) { c.Backend.Deadline = 0 }, ""},
		"a deadline too short":       {func(c *Config) { c.Backend.Deadline = Duration(MinDeadline - 1) }, "backend.deadline"},
		"the longest deadline":       {func(c *Config) { c.Backend.Deadline = Duration(MaxDeadline) }, ""},
		"a deadline after WeChat's":  {func(c *Config) { c.Backend.Deadline = Duration(MaxDeadline + 1) }, "WeChat hangs up"},
		"a backend by https":         {func(c *Config) { c.Backend.URL = "https://app:443" }, "backend.url"},
		"TLS without https":          {func(c *Config) { c.Backend.TLS = &BackendTLS{CA: aCertificate} }, "backend.url"},
		"TLS known by nobody":        {func(c *Config) { c.Backend = Backend{URL: "https://app:443", TLS: &BackendTLS{}} }, "backend.tls.ca"},
		"TLS known by a key": {func(c *Config) {
			c.Backend = Backend{URL: "https://app:443", TLS: &BackendTLS{CA: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}}
		}, "backend.tls.ca"},
		"TLS known by much": {func(c *Config) {
			c.Backend = Backend{URL: "https://app:443", TLS: &BackendTLS{CA: strings.Repeat(aCertificate, 60)}}
		}, "backend.tls.ca"},
		"TLS for a name with a port": {func(c *Config) {
			c.Backend = Backend{URL: "https://app:443", TLS: &BackendTLS{CA: aCertificate, ServerName: "app:443"}}
		}, "backend.tls.serverName"},
		"a backend with a path":        {func(c *Config) { c.Backend.URL = "http://app/x" }, "backend.url"},
		"a backend with a user":        {func(c *Config) { c.Backend.URL = "http://a:b@app" }, "backend.url"},
		"a backend's path with query":  {func(c *Config) { c.Backend.Path = "/a?b" }, "backend.path"},
		"a backend that is no address": {func(c *Config) { c.Backend.URL = "app" }, "backend.url"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			test.edit(&c)
			err := c.Validate()
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
		})
	}
}

// aCertificate is some authority's.
const aCertificate = `-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUSSgeLXDZ5QVki0i3/eAB8SN1llswCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdC1hdXRob3JpdHkwIBcNMjYxMTI0MDMxMDI0WhgPMjEy
NjEwMzEwMzEwMjRaMBkxFzAVBgNVBAMMDnRlc3QtYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAETCFY0NvVimEQ3eh/Par4kozi52lDV7xyyLxfYqm/
B0CwyfGbiIK33EDQp+a0DSCsWRJ9FjCnzUdOHkrYu46ewaNTMFEwHQYDVR0OBBYE
FDOOfsv7wj1lwSUR4XXhKoRnMDGHMB8GA1UdIwQYMBaAFDOOfsv7wj1lwSUR4XXh
KoRnMDGHMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAOTSeOz3
H3gTScV+wpglOhPELTM60z1EM0twpzK7ykEhAiAT0bBnv3b/09H6sTKDn6l7Gvki
00T3s7gFI5gnjFkPHg==
-----END CERTIFICATE-----
`

func TestTLSOfABackend(t *testing.T) {
	for name, ca := range map[string]string{"one certificate": aCertificate, "two": aCertificate + "\n" + aCertificate} {
		t.Run(name, func(t *testing.T) {
			c := good()
			c.Backend = Backend{URL: "https://app:443", TLS: &BackendTLS{CA: ca, ServerName: "app.team-a.svc"}}
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
	for name, ca := range map[string]string{"something before": "x" + aCertificate, "something after": aCertificate + "x", "a broken one": strings.Replace(aCertificate, "MII", "AAA", 1)} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseCA(ca); err == nil {
				t.Error("taken")
			}
		})
	}
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown field":  `{"generation":"g","verification":"off"}`,
		"more than one":     `{} {}`,
		"nothing":           ``,
		"another type":      `{"generation":1}`,
		"more than 1 MiB":   `{"generation":"` + strings.Repeat("g", MaxFileSize) + `"}`,
		"a duration in ms":  `{"freshness":300000}`,
		"a broken duration": `{"freshness":"5 minutes"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), File) {
				t.Errorf("error %v, want one that names the file", err)
			}
		})
	}
}

func TestParseCredentialsNeverQuotesThem(t *testing.T) {
	const secret = "very-secret-token"
	for name, text := range map[string]string{
		"white space":      `{"pairs":[{"token":"` + secret + `\n"}]}`,
		"too long":         `{"pairs":[{"token":"` + secret + strings.Repeat("x", 32) + `"}]}`,
		"beyond ASCII":     `{"pairs":[{"token":"` + secret + `你"}]}`,
		"cut off":          `{"pairs":[{"token":"` + secret,
		"not quoted":       `{"pairs":[{"token":` + secret + `}]}`,
		"of another type":  `{"pairs":"` + secret + `"}`,
		"none":             `{"pairs":[]}`,
		"too many":         `{"pairs":[` + strings.Repeat(`{"token":"`+secret+`"},`, MaxPairs) + `{"token":"` + secret + `"}]}`,
		"an unknown field": `{"pairs":[{"token":"` + secret + `","aesKey":"x"}]}`,
		"text behind them": `{"pairs":[{"token":"` + secret + `"}]}` + secret,
		"an empty token":   `{"pairs":[{"token":""}]}`,
		"no GatewayKey":    `{"gatewayKey":"` + secret + `","pairs":[{"token":"abc"}]}`,
		"too few bytes":    `{"gatewayKey":"YWJj","pairs":[{"token":"` + secret + `"}]}`,
		"two characters":   `{"pairs":[{"token":"ab"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			text = `{"generation":"g","credentials":` + text + `}`
			_, err := ReadCredentials([]byte(text))
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v; want one without the token", err)
			}
			_, err = Parse([]byte(text))
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v; want one without the token", err)
			}
		})
	}
}

func TestValidateToken(t *testing.T) {
	for token, good := range map[string]bool{
		"ab": false, "abc": true, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false,
		"test token": true, " abc": false, "abc\n": false, "abc\x00": false, "": false,
	} {
		if err := ValidateToken(token); (err == nil) != good {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

// TestParseCredentialsNeverQuotesANumber: the decoder's own error does.
func TestParseCredentialsNeverQuotesANumber(t *testing.T) {
	_, err := ReadCredentials([]byte(`{"generation":"g","credentials":{"pairs":[{"generation":2024123.1}]}}`))
	if err == nil || strings.Contains(err.Error(), "2024123") {
		t.Errorf("error %v; want one without the number", err)
	}
}

func TestValidateKeys(t *testing.T) {
	for name, test := range map[string]struct {
		validate func(string) error
		size     int
	}{
		"EncodingAESKey": {ValidateEncodingAESKey, 43},
		"APIv3 key":      {ValidateAPIv3Key, 32},
	} {
		t.Run(name, func(t *testing.T) {
			good := strings.Repeat("aZ09", 11)[:test.size]
			if err := test.validate(good); err != nil {
				t.Errorf("%q: %v", good, err)
			}
			for _, bad := range []string{"", good[1:], good + "a", good + "\n", good[1:] + "\n", good[1:] + "/", good[1:] + "="} {
				if err := test.validate(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
					t.Errorf("%q: %v", bad, err)
				}
			}
		})
	}
}

func TestParsePlatformKey(t *testing.T) {
	block := func(kind string, der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	rsaKey := func(bits int) *rsa.PrivateKey {
		t.Helper()
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	key, weak := rsaKey(2048), rsaKey(1024)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := func(key any) string { der, err := x509.MarshalPKIXPublicKey(key); return block("PUBLIC KEY", der, err) }
	private, err := x509.MarshalPKCS8PrivateKey(key)
	for name, test := range map[string]struct{ text, refused string }{
		"a public key":                      {public(&key.PublicKey), ""},
		"white space behind it":             {public(&key.PublicKey) + "\n", ""},
		"two of them":                       {public(&key.PublicKey) + public(&key.PublicKey), "not one PEM block"},
		"a private key":                     {block("PRIVATE KEY", private, err), "private key"},
		"a private key that says it is not": {block("PUBLIC KEY", private, err), "cannot be read"},
		"a key of 1024 bits":                {public(&weak.PublicKey), "1024 bits"},
		"a key of a curve":                  {public(&curve.PublicKey), "not an RSA key"},
		"a word":                            {"key", "not one PEM block"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePlatformKey([]byte(test.text))
			if (err == nil) != (test.refused == "") || (got == nil) != (err != nil) || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("key %v, error %v, want %q", got, err, test.refused)
			}
		})
	}
}

func TestValidateFor(t *testing.T) {
	keys := map[string]string{"1": "PEM"}
	for name, test := range map[string]struct {
		platform, mode string
		pair           Pair
		refused        string
	}{
		"plaintext with a token":          {PlatformOfficialAccount, ModePlaintext, Pair{Token: "abc"}, ""},
		"plaintext without a token":       {PlatformOfficialAccount, ModePlaintext, Pair{APIv3Key: "k"}, "token is missing"},
		"compatible without a key":        {PlatformOfficialAccount, ModeCompatible, Pair{Token: "abc"}, "encodingAESKey is missing"},
		"encrypted without a key":         {PlatformOfficialAccount, ModeEncrypted, Pair{Token: "abc"}, "encodingAESKey is missing"},
		"encrypted with a key":            {PlatformOfficialAccount, ModeEncrypted, Pair{Token: "abc", EncodingAESKey: "k"}, ""},
		"WeCom without a key":             {PlatformWeCom, "", Pair{Token: "abc"}, "encodingAESKey is missing"},
		"payments with all they need":     {PlatformPay, "", Pair{APIv3Key: "k", PlatformKeys: keys}, ""},
		"payments without an APIv3 key":   {PlatformPay, "", Pair{Token: "abc", PlatformKeys: keys}, "which platform Pay needs"},
		"payments without a platform key": {PlatformPay, "", Pair{APIv3Key: "k"}, "which platform Pay needs"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Credentials{Pairs: []Pair{test.pair}}.ValidateFor(Config{Platform: test.platform, MessageMode: test.mode})
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
		})
	}
}
