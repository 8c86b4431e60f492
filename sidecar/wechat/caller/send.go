// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// maxAnswerSize bounds an answer with its head and the lengths of its chunks: more than a sidecar in the memory of its default limit
// can seal of a bot's reply, whose images it holds. Bytes.
const maxAnswerSize = 32 << 20

// ErrNotHTTP says that something answered, but not with HTTP.
var ErrNotHTTP = errors.New("the answer is not HTTP")

// Send sends a request once, on a connection of its own: WeChat calls from many servers. It follows no redirect, asks
// for no compression, uses no proxy and no cookie. An error means that no whole answer came; what is known of the Answer
// is returned with it. Errors hold neither the query nor the body.
func (s *Sender) Send(ctx context.Context, request *Request) (Answer, error) {
	answer := Answer{Echostr: request.Echostr, From: request.From, Sent: s.now(), Encrypted: request.MsgSignature != "", Form: s.Form, hidden: s.secrets(request)}
	target, err := ParseURL(s.URL)
	if err != nil {
		return answer, err
	}
	started := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	err = s.exchange(limited, target, request, &answer)
	answer.Elapsed = time.Since(started)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("calling %s: %w", target.Host, context.Cause(ctx))
	}
	return answer, err
}

// secrets are what an Answer does not show.
func (s *Sender) secrets(request *Request) []string {
	all := []string{s.Token, s.EncodingAESKey, request.Signature, request.MsgSignature}
	if s.Pay != nil {
		all = append(all, s.Pay.APIv3Key)
	}
	return all
}

func (s *Sender) exchange(ctx context.Context, target *url.URL, request *Request, answer *Answer) error {
	conn, err := s.connect(ctx, target)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer.Remote = conn.RemoteAddr().String()
	// A context that ends wakes every read and write.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	stream, err := s.secure(ctx, target, conn)
	if err != nil {
		return err
	}
	// The answer is read although writing broke off: a server that refuses early answers before it has read the body.
	writeErr := write(ctx, stream, request)
	if err := read(bufio.NewReader(io.LimitReader(stream, maxAnswerSize)), request, answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", target.Host, errors.Join(err, writeErr))
	}
	return nil
}

func (s *Sender) connect(ctx context.Context, target *url.URL) (net.Conn, error) {
	address := s.Address
	if address == "" {
		address = net.JoinHostPort(target.Hostname(), Port(target))
	}
	dial := s.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	return conn, nil
}

// secure starts TLS for https. ALPN is not offered, so that the server speaks HTTP/1.
func (s *Sender) secure(ctx context.Context, target *url.URL, conn net.Conn) (net.Conn, error) {
	if target.Scheme != "https" {
		return conn, nil
	}
	secured := tls.Client(conn, &tls.Config{ServerName: s.serverName(target), RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("starting TLS with %s: %w", target.Host, err)
	}
	return secured, nil
}

func (s *Sender) serverName(target *url.URL) string {
	if s.Host == "" {
		return target.Hostname()
	}
	if host, _, err := net.SplitHostPort(s.Host); err == nil {
		return host
	}
	return s.Host
}

func write(ctx context.Context, conn net.Conn, request *Request) error {
	head, body := request.wire()
	if request.Pause == 0 {
		_, err := conn.Write(append(head, body...))
		return err
	}
	half := len(body) / 2
	if _, err := conn.Write(append(head, body[:half]...)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(request.Pause):
	}
	_, err := conn.Write(body[half:])
	return err
}

func read(reader *bufio.Reader, request *Request, answer *Answer) error {
	response, err := http.ReadResponse(reader, &http.Request{Method: request.Method})
	for err == nil && response.StatusCode/100 == 1 && response.StatusCode != http.StatusSwitchingProtocols {
		response, err = http.ReadResponse(reader, &http.Request{Method: request.Method})
	}
	if err != nil {
		return notHTTP(err)
	}
	defer response.Body.Close()
	answer.Status, answer.Header = response.StatusCode, response.Header
	most := maxAnswer(*answer)
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if int64(len(body)) > most {
		body, answer.Truncated = body[:most], true
	}
	answer.Body = body
	return err
}

// maxAnswer is as long as the longest reply that WeChat documents, or its base64 in an envelope. Bytes.
func maxAnswer(a Answer) int64 {
	if a.Encrypted {
		return wechat.MaxReply(a.Form)*4/3 + 4<<10
	}
	return wechat.MaxReply(a.Form)
}

// notHTTP marks what the parser refused, apart from what the network did. The parser's words quote the answer without a
// bound, so they are left out.
func notHTTP(err error) error {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return ErrNotHTTP
}

// ParseURL reads a callback URL. Its errors do not quote the URL, whose query may hold anything.
func ParseURL(raw string) (*url.URL, error) {
	target, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, &URLError{"cannot be read", "write it like https://wx.example.com/weixin"}
	case target.Scheme != "http" && target.Scheme != "https":
		return nil, &URLError{"does not begin with http:// or https://", "write it like https://wx.example.com/weixin"}
	case target.Hostname() == "":
		return nil, &URLError{"has no host", "write it like https://wx.example.com/weixin"}
	}
	return target, nil
}

// URLError says why a URL cannot be a callback URL.
type URLError struct{ Cause, Remedy string }

func (e *URLError) Error() string { return "the URL " + e.Cause + ": " + e.Remedy }

// Port is the URL's, or its scheme's.
func Port(target *url.URL) string {
	switch {
	case target.Port() != "":
		return target.Port()
	case target.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
