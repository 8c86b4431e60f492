// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate decides about every callback. It knows no server, no clock and no store. Check is pure: everything that a hostile
// request can do to the decision can be tried by calling it. Admit adds what the first use of a signature and an audit decide.
package gate

import (
	"cmp"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Gate checks callbacks against one configuration and its credentials. It is immutable and safe for concurrent use.
type Gate struct {
	config config.Config
	query  []config.Parameter // of the URL itself
	pairs  []pair
}

// pair is one accepted set of credentials, ready for use.
type pair struct {
	config.Pair
	key          *wechat.Key               // nil without an EncodingAESKey
	platformKeys map[string]*rsa.PublicKey // of Pay, by serial
}

// New returns the Gate of a configuration and its credentials, which the caller has validated. A key that cannot be read
// all the same opens nothing.
func New(c config.Config, credentials config.Credentials) *Gate {
	g := &Gate{config: c}
	g.query, _ = c.Parameters() // validated
	for _, p := range credentials.Pairs {
		ready := pair{Pair: p, platformKeys: map[string]*rsa.PublicKey{}}
		if key, err := wechat.ParseEncodingAESKey(p.EncodingAESKey); err == nil {
			ready.key = key
		}
		for serial, text := range p.PlatformKeys {
			if key, err := config.ParsePlatformKey([]byte(text)); err == nil {
				ready.platformKeys[serial] = key
			}
		}
		g.pairs = append(g.pairs, ready)
	}
	return g
}

// Request is what the gate needs to know of an HTTP request.
type Request struct {
	Method   string
	Host     string // as sent, perhaps with a port
	Path     string // as sent, escapes and all
	RawQuery string // as sent, without the question mark
	// Header is asked by the canonical names of Pay's headers only.
	Header map[string][]string
	// Stream is the body as it comes, and Length what was announced of it, -1 for nothing. Both are for who makes Body of them.
	Stream io.Reader
	Length int64
	// Body returns the whole body. It is called as late as the protocol allows: in plaintext mode, once the query is
	// verified; where the signature covers the body, once everything else is well-formed. Its error is returned by Check
	// as it is.
	Body func() ([]byte, error)
	// Arrived is when the head was whole. It is the one reading of the clock for a request: deadlines count from it too.
	Arrived time.Time
}

// Message is a verified callback, or an Unverified one.
type Message struct {
	// Query is what was verified.
	Query wechat.Query
	// Generation is the generation of the credentials that verified it; 0 where another accepted pair would have, too.
	Generation int64
	// Echo is the answer to a URL check, nil for a message.
	Echo []byte
	// Body is the message, byte for byte as it was encrypted, or as it was sent in plaintext mode; nil for a URL check.
	Body []byte
	// Form is the notation of the body as WeChat sent it, which a reply follows.
	Form wechat.Form
	// Fields are what decides about the message.
	Fields wechat.Fields
	// ReceiverID is whom the message was encrypted for; empty in plaintext mode.
	ReceiverID string
	// PathID stands in the URL in place of the placeholder. Nothing authenticates it.
	PathID string
	// OpenID says that the query named the sender, as that of message push does.
	OpenID bool
	// StaleAt is when the timestamp will be too old to be accepted again.
	StaleAt time.Time

	// Bind says that the use of Query.Signature must be bound to its first one, which Admit does: it does not cover the body.
	Bind bool
	// Unverified is why a message would have been refused that goes on in an audit; nil for every other. All that is known of it then
	// is its Body.
	Unverified *wechat.Refusal

	pair    *pair
	sealed  bool     // it came encrypted, and so goes its reply
	encrypt []byte   // the verified Encrypt, a part of the body
	payment *payment // of Pay alone
}

// payment is what a notification of Pay has beside its resource.
type payment struct {
	header       wechat.PayHeader
	notification wechat.PayNotification
	original     []byte // the body as it was sent
}

// URLCheck reports whether the callback is the GET that WeChat sends when the form of the console is submitted.
func (m *Message) URLCheck() bool { return m.Echo != nil }

// Nonce is the signed nonce.
func (m *Message) Nonce() string {
	if m.payment != nil {
		return m.payment.header.Nonce
	}
	return m.Query.Nonce
}

// Forms is in how many forms the message is held: as it was sent, and, where it came encrypted, decrypted.
func (m *Message) Forms() int64 {
	if m.sealed {
		return 2
	}
	return 1
}

// Forget drops what only Original needs.
func (m *Message) Forget() {
	m.encrypt = nil
	if m.payment != nil {
		m.payment.original = nil
	}
}

// ForgetBody drops the body and all that shares its memory. What is left is for the answer.
func (m *Message) ForgetBody() {
	m.Body, m.Fields, m.encrypt = nil, wechat.Fields{}, nil
	m.ReceiverID = strings.Clone(m.ReceiverID)
	if m.payment != nil {
		m.payment = &payment{header: m.payment.header}
	}
}

// Probe reports whether a verified callback is the operator's own: its nonce says so, and a message its InfoType too. Only who
// holds the token can sign one, and WeChat uses no such nonce: what a user writes makes no probe.
func (m *Message) Probe() bool {
	return strings.HasPrefix(m.Nonce(), config.ProbeNoncePrefix) && (m.URLCheck() || m.Fields.InfoType == config.ProbeInfoType)
}

// Answer returns what a callback is answered that reaches no app: the echostr of a URL check, or success to a probe. It reports false
// for a message to the app.
func (m *Message) Answer() (answer []byte, own bool) {
	switch {
	case m.URLCheck():
		return m.Echo, true
	case m.Probe():
		return []byte(wechat.Success), true
	}
	return nil, false
}

// Played reports whether the nonce of a verified callback says that it is not WeChat's.
func (m *Message) Played() bool { return playedNonce(m.Nonce()) }

func playedNonce(nonce string) bool {
	return strings.HasPrefix(nonce, config.ProbeNoncePrefix) || strings.HasPrefix(nonce, config.TrialNoncePrefix)
}

// SaysPlayed reports whether a request says the same of itself. Nothing has proven it: it decides nothing but where a refusal is counted.
func SaysPlayed(r Request) bool {
	if slices.ContainsFunc(r.Header[wechat.PayNonceHeader], playedNonce) {
		return true
	}
	for nonce := range wechat.Parameters(r.RawQuery, "nonce") {
		if playedNonce(nonce) {
			return true
		}
	}
	return false
}

// Trial reports whether the nonce says that the message was made to see what the app does with it.
func (m *Message) Trial() bool { return strings.HasPrefix(m.Nonce(), config.TrialNoncePrefix) }

// Key tells messages apart, and is the same for every repeat of one, on every replica: the SHA-256 of the endpoint's name and of
// all that was verified and that WeChat does not change when it repeats a message. What it may change, or is not known to keep,
// is the timestamp, the nonce, the signatures and how the message is encrypted.
func (m *Message) Key(endpoint string) [sha256.Size]byte {
	var notification wechat.PayNotification
	if m.payment != nil {
		notification = m.payment.notification
	}
	hash := sha256.New()
	text := make([]byte, 0, 128)
	for _, part := range [...]string{endpoint, m.ReceiverID, m.PathID, notification.ID, notification.EventType, notification.OriginalType()} {
		text = strconv.AppendInt(text, int64(len(part)), 10)
		text = append(append(append(text, ':'), part...), '\n')
	}
	hash.Write(text)
	hash.Write(m.Body)
	return [sha256.Size]byte(hash.Sum(nil))
}

// OwnerKey names what one pod must remember for all: the use of a signature that covers no body, or else the message. It is the same for
// every repeat of a message that WeChat sends with the same signature.
func (m *Message) OwnerKey(endpoint string) [sha256.Size]byte {
	if !m.Bind {
		return m.Key(endpoint)
	}
	return sha256.Sum256([]byte("use\n" + endpoint + "\n" + m.Query.Signature))
}

// Check makes m the verified message of a request. Where it returns an error, which is a *wechat.Refusal or the error of r.Body, m is
// zero. Cheap checks come first.
//
// What is refused does not depend on anything that the client says about the mode or the credentials: a mode comes from
// the configuration, so that leaving parameters out cannot talk the gate down to a weaker check.
func (g *Gate) Check(m *Message, r Request, now time.Time) error {
	err := g.check(m, r, now)
	if err != nil {
		*m = Message{} // nobody mistakes a part of it for something verified
	}
	return err
}

func (g *Gate) check(m *Message, r Request, now time.Time) error {
	*m = Message{}
	var ok bool
	if m.PathID, ok = g.serves(r); !ok {
		return wechat.Refuse(wechat.ReasonUnknownURL, "not the host, path and query of this endpoint; compare the URL in the console with status.url")
	}
	switch platform := g.config.Platform; {
	case r.Method == "GET" && platform == config.PlatformWeCom:
		return g.checkEncryptedEcho(m, r, now)
	case r.Method == "GET" && platform != config.PlatformOpenPlatform && platform != config.PlatformPay:
		return g.checkEcho(m, r, now)
	case r.Method != "POST":
		return wechat.Refuse(wechat.ReasonMalformed, "WeChat calls this kind of URL with POST, and most kinds with GET for the URL check, and never otherwise")
	case platform == config.PlatformPay:
		return g.checkNotification(m, r, now)
	case g.config.Encrypted():
		return g.checkEncrypted(m, r, now)
	}
	return g.checkPlaintext(m, r, now)
}

// serves compares host, path and the URL's own query with the configured ones, and returns what stands in place of the placeholder.
func (g *Gate) serves(r Request) (id string, ok bool) {
	if !g.ServesHost(r.Host) {
		return "", false
	}
	if id, ok = servesPath(g.config.Path, r.Path); !ok {
		return "", false
	}
	for _, p := range g.query {
		found, ok := carried(p, r.RawQuery)
		if !ok {
			return "", false
		}
		id += found // one of them is empty: there is one placeholder
	}
	return id, true
}

// servesPath compares a path with the configured one, as it was sent: an encoded slash or a dot segment is another path.
func servesPath(configured, path string) (id string, ok bool) {
	before, after, found := config.CutPlaceholder(configured)
	if !found {
		return "", path == configured || configured != "/" && path == configured+"/"
	}
	id, ok = idBetween(before, after, strings.TrimSuffix(path, "/"))
	return id, ok && !strings.HasSuffix(path, "//")
}

// carried reports whether a query has the parameter, and returns what stands in place of a placeholder. That it has others of the
// same name says nothing: nobody signed them.
func carried(p config.Parameter, rawQuery string) (id string, ok bool) {
	before, after, found := config.CutPlaceholder(p.Value)
	for value := range wechat.Parameters(rawQuery, p.Name) {
		if !found && value == p.Value {
			return "", true
		}
		if id, ok = idBetween(before, after, value); found && ok {
			return id, true
		}
	}
	return "", false
}

// idBetween returns what stands between two texts, and reports whether it is an id.
func idBetween(before, after, text string) (id string, ok bool) {
	if id, ok = strings.CutPrefix(text, before); ok {
		id, ok = strings.CutSuffix(id, after)
	}
	return id, ok && isID(id)
}

// URLQuery is the URL's own query, with the id that a callback had in it.
func (g *Gate) URLQuery(id string) string {
	before, after, found := config.CutPlaceholder(g.config.Query)
	if !found {
		return g.config.Query
	}
	return before + id + after
}

// Serves reports whether the host, the path and the query of a request are those of the endpoint's URL. It says nothing of its signature.
func (g *Gate) Serves(r Request) bool {
	_, ok := g.serves(r)
	return ok
}

// ServesHost reports whether a Host header, perhaps with a port, names the configured host.
func (g *Gate) ServesHost(host string) bool {
	name, _, _ := strings.Cut(host, ":")
	return g.config.Host == "" || strings.EqualFold(name, g.config.Host)
}

// isID reports whether a segment of the path can be an AppID, CorpID or suite's id.
func isID(id string) bool {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// maxClockSkew is how far ahead of this clock another's may be: 5 minutes, however long a message stays fresh.
const maxClockSkew = 5 * time.Minute

// freshUntil returns when the timestamp will be stale, or refuses it if it is already, or is too far in the future. The window
// is for those that the configuration leaves to their kind.
func (g *Gate) freshUntil(timestamp string, window time.Duration, now time.Time) (time.Time, error) {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return time.Time{}, wechat.Refuse(wechat.ReasonMalformed, "the timestamp is not a number of seconds")
	}
	sent, window := time.Unix(seconds, 0), cmp.Or(time.Duration(g.config.Freshness), window)
	if age := now.Sub(sent); age > window || age < -min(window, maxClockSkew) {
		return time.Time{}, errStale
	}
	return sent.Add(window), nil
}

// signedBy returns the newest accepted pair whose token signed the parts, and whether it is the only one. It always tries
// all of them, so that the time does not tell which one matched.
func (g *Gate) signedBy(now time.Time, signature string, parts ...string) (found *pair, only bool) {
	var array [4]string
	for i := range g.pairs {
		p := &g.pairs[i]
		if !p.Accepted(now) || !wechat.Verify(signature, append(append(array[:0], p.Token), parts...)...) {
			continue
		}
		if only = found == nil; only {
			found = p
		}
	}
	return found, only
}

var errStale = wechat.Refuse(wechat.ReasonStale, "the timestamp is outside of verification.freshness; if WeChat's own are refused, check the node's clock")

var errSignature = wechat.Refuse(wechat.ReasonBadSignature, "signed with a token that is not the Secret's; compare it with Token in the console")
