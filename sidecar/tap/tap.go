// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tap is the contract between a sidecar and whoever looks at one endpoint's messages as they come: what is asked for on the second
// port, how the caller proves that he has the endpoint's gateway key, and what the sidecar tells. It is a leaf: standard library, no net/http, no
// clock.
package tap

import (
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"
	"time"
)

// Paths on the second port. Another version has other paths: a sidecar that does not know them answers 404.
const (
	// Path is asked with GET. The answer is a Line of JSON after the other, each ended by a line feed.
	Path = "/tap/v1"
	// AnswerPath takes with POST what is to be answered to a message that a tap took: the body is the reply.
	AnswerPath = "/tap/v1/answer"
)

// Bounds of what can be asked for.
const (
	// MaxTime is for how long a tap can be open, and messages can be kept.
	MaxTime = time.Hour
	// MaxTaken is how many users a tap can take.
	MaxTaken = 16
	// MaxReply is how long a reply can be. WeChat's longest replies have some KiB. Bytes.
	MaxReply = 16 << 10
	// maxUser is how long an OpenID, or a user's id of WeCom, can be. Bytes.
	maxUser = 128
)

// Beat is how long it is from one line of an open tap to the next at most: where nothing happens, an empty one comes. Who hears nothing for three
// of them has lost the pod.
const Beat = 5 * time.Second

// Query is what is asked for.
type Query struct {
	// Endpoint is the one that is looked at, NAMESPACE/NAME.
	Endpoint string
	// Messages asks for the messages themselves, beside what became of them.
	Messages bool
	// Follow keeps the tap open for what comes; without, what is kept comes and the tap ends.
	Follow bool
	// For is how long the tap may be open; zero is MaxTime.
	For time.Duration
	// Keep asks the pod to keep messages for so long, also once the tap has ended; zero leaves that as it is.
	Keep time.Duration
	// Delivery asks for the message of that delivery id alone, and what became of it; empty asks for all.
	Delivery string
	// Take names the users whose messages the caller answers, by the sender's id as WeChat writes it in the message.
	Take []string
}

// Encode returns the query as it stands in the request.
func (q Query) Encode() string {
	values := url.Values{"endpoint": {q.Endpoint}}
	if q.Messages {
		values.Set("messages", "true")
	}
	if q.Follow {
		values.Set("follow", "true")
	}
	for name, time := range map[string]time.Duration{"for": q.For, "keep": q.Keep} {
		if time > 0 {
			values.Set(name, seconds(time))
		}
	}
	if q.Delivery != "" {
		values.Set("delivery", q.Delivery)
	}
	if len(q.Take) > 0 {
		values["take"] = q.Take
	}
	return values.Encode()
}

// seconds are rounded up: who asks for less than a second asks for something, and who asks for MaxTime for no more.
func seconds(of time.Duration) string {
	return strconv.FormatInt(int64((of+time.Second-1)/time.Second), 10)
}

var errQuery = errors.New("no query of a tap")

// ParseQuery reads what Encode returns, and refuses what is beyond the bounds.
func ParseQuery(text string) (Query, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return Query{}, errQuery
	}
	q := Query{Take: values["take"]}
	bad := len(q.Take) > MaxTaken
	for _, user := range q.Take {
		bad = bad || user == "" || len(user) > maxUser
	}
	for name, all := range values {
		if name == "take" {
			continue
		}
		if len(all) != 1 {
			return Query{}, errQuery
		}
		value := all[0]
		switch name {
		case "endpoint":
			q.Endpoint = value
		case "messages":
			q.Messages, bad = true, bad || value != "true"
		case "follow":
			q.Follow, bad = true, bad || value != "true"
		case "for":
			bad = !parseTime(&q.For, value) || bad
		case "keep":
			bad = !parseTime(&q.Keep, value) || bad
		case "delivery":
			id, err := hex.DecodeString(value)
			q.Delivery, bad = value, bad || err != nil || len(id) != DeliverySize
		default:
			bad = true
		}
	}
	if bad || q.Endpoint == "" || len(q.Take) > 0 && (!q.Messages || !q.Follow) {
		return Query{}, errQuery
	}
	return q, nil
}

// DeliverySize is how long a delivery id is, of which the hexadecimal digits are told. Bytes.
const DeliverySize = 16

func parseTime(to *time.Duration, text string) bool {
	seconds, err := strconv.ParseInt(text, 10, 32)
	*to = time.Duration(seconds) * time.Second
	return err == nil && *to > 0 && *to <= MaxTime
}

// Answer says what is to be answered to which message.
type Answer struct {
	// Endpoint is the one of the Query, Tap the Hello's, and Turn the Message's.
	Endpoint, Tap string
	Turn          uint64
	// Declined leaves the message to the app; there is no reply then.
	Declined bool
}

// Encode returns the query of the answer.
func (a Answer) Encode() string {
	values := url.Values{"endpoint": {a.Endpoint}, "tap": {a.Tap}, "turn": {strconv.FormatUint(a.Turn, 10)}}
	if a.Declined {
		values.Set("declined", "true")
	}
	return values.Encode()
}

// ParseAnswer reads what Encode returns.
func ParseAnswer(text string) (Answer, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return Answer{}, errQuery
	}
	for name, all := range values {
		known := name == "endpoint" || name == "tap" || name == "turn" || name == "declined" && all[0] == "true"
		if !known || len(all) != 1 {
			return Answer{}, errQuery
		}
	}
	a := Answer{Endpoint: values.Get("endpoint"), Tap: values.Get("tap"), Declined: values.Has("declined")}
	a.Turn, err = strconv.ParseUint(values.Get("turn"), 10, 64)
	if err != nil || a.Endpoint == "" || a.Tap == "" {
		return Answer{}, errQuery
	}
	return a, nil
}

// Refusal says why there is no tap. It is the body of the answer, as {"reason":"…"}.
type Refusal string

// The refusals.
const (
	// Forbidden: the request is not signed with the gateway key of an endpoint that this pod serves. It says nothing more.
	Forbidden Refusal = "forbidden"
	// Stale: it is, and its time is more than Window away from the pod's.
	Stale Refusal = "stale"
	// Used: it is, and came before.
	Used Refusal = "used"
	// OtherPod: it is, and was signed for another pod.
	OtherPod Refusal = "other_pod"
	// Malformed: it cannot be read.
	Malformed Refusal = "malformed"
	// Full: there are as many taps as there may be.
	Full Refusal = "full"
	// Ended: the pod ends, or the tap or the turn of an answer is over.
	Ended Refusal = "ended"
)

// Status is what a refusal is answered with.
func (r Refusal) Status() int {
	switch r {
	case Malformed:
		return 400
	case Full:
		return 429
	case Ended:
		return 410
	case Forbidden, Stale, Used, OtherPod:
	}
	return 403
}

// Refused is the body of a refusal.
type Refused struct {
	Reason Refusal `json:"reason"`
}

// Line is one line of a tap. One field is set; none is, where nothing happens.
type Line struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Verdict *Verdict `json:"verdict,omitempty"`
	Message *Message `json:"message,omitempty"`
	// Dropped is how many lines did not fit since the one before: whoever reads is too slow.
	Dropped uint64 `json:"dropped,omitempty"`
	// Ended says why the tap ends. It is the last line.
	Ended End `json:"ended,omitempty"`
}

// Hello is the first line.
type Hello struct {
	// Tap is the tap's id, for answers.
	Tap string `json:"tap"`
	// Until is when it ends.
	Until time.Time `json:"until"`
	// KeepsUntil is until when messages are kept; zero where none are.
	KeepsUntil time.Time `json:"keepsUntil,omitzero"`
}

// End is why a tap ends.
type End string

// The ends.
const (
	EndTime   End = "time"    // it was open for as long as was asked for
	EndKey    End = "key"     // the endpoint has another gateway key
	EndServed End = "served"  // the pod does not serve the endpoint any more
	EndDrain  End = "drain"   // the pod ends
	EndNoMore End = "no_more" // that is all there is, and Follow was not asked for
)

// Verdict is what became of a callback. It holds nothing that a user has written, and no OpenID.
type Verdict struct {
	At       time.Time `json:"at"`
	Platform string    `json:"platform"`
	// Delivery is the delivery id of a message that is known by one.
	Delivery string `json:"delivery,omitempty"`
	// Outcome is one of outcome.Outcome, for what was verified; Reason is one of wechat.Reason for what was not. With a status that says that it was
	// taken, verification.enforcement is InsecureAudit.
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Cause is one of outcome.Cause: why the app's answer did not reach WeChat.
	Cause string `json:"cause,omitempty"`
	// Type is the MsgType; Event is the Event or the InfoType of what has one.
	Type  string `json:"type,omitempty"`
	Event string `json:"event,omitempty"`
	// Status is what WeChat was answered with, after so many milliseconds.
	Status int   `json:"status"`
	Millis int64 `json:"ms"`
	// Repeat says that the message was known already; Played that it was not WeChat who sent it; Taken that a tap has answered it.
	Repeat bool `json:"repeat,omitempty"`
	Played bool `json:"played,omitempty"`
	Taken  bool `json:"taken,omitempty"`
}

// Message is a verified message as the app gets it, which it does at the same time.
type Message struct {
	At       time.Time `json:"at"`
	Delivery string    `json:"delivery"`
	// Method and Target are the app's request line, and Header is all of its head but Host and Content-Length.
	Method string              `json:"method"`
	Target string              `json:"target"`
	Header map[string][]string `json:"header"`
	Body   []byte              `json:"body"`
	// Turn is not zero where the tap takes the message: it waits for the Answer until then.
	Turn  uint64    `json:"turn,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Kept says that the message was kept, and came before.
	Kept bool `json:"kept,omitempty"`
}
