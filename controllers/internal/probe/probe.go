// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe asks sidecar pods what they serve.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Bounds of a question, and of all questions of a reconcile together. A pod answers in a millisecond; what does not answer in
// a second is asked again by the next reconcile. A tenant whose pods are silent must not hold up the others, and what his pods
// answer must not fill the memory: a sidecar's answer has some hundred bytes, with a head of as many.
const (
	timeout     = time.Second
	patience    = 2 * time.Second
	maxHead     = 4 << 10 // bytes
	maxAnswer   = 8 << 10 // bytes of a body, and of the connection beside the head
	maxUses     = 8       // generations; a sidecar accepts four
	maxSerials  = 64      // keys; a sidecar knows 32
	concurrency = 32
)

// idPattern is the form of an id that a sidecar tells: the id stands in a status then.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Result is the answer of one pod, or why there was none.
type Result struct {
	Status config.Status
	Err    error
}

// Prober asks pods. It is safe for concurrent use.
type Prober struct {
	client, sharedClient *http.Client
	port                 int
	private              []netip.Prefix
	shared               shared
	reading              chan struct{}
}

// New returns a Prober that asks on the given port. Of addresses in private networks, Reach calls only those in these.
func New(port int, private ...netip.Prefix) *Prober {
	return &Prober{port: port, private: private, client: newClient(maxAnswer), sharedClient: newClient(maxProcess), reading: make(chan struct{}, maxReading)}
}

// newClient returns a client that reads so much of an answer, beside its head.
func newClient(most int) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // no proxy by an environment variable, and no connection kept to thousands of pods
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return dialBounded(ctx, address, maxHead+most)
			},
		},
	}
}

// dialBounded connects to a pod, of whose answer only so many bytes are read, whatever it consists of.
func dialBounded(ctx context.Context, address string, most int) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err // which the caller wraps
	}
	return &boundedConn{Conn: conn, left: most}, nil
}

// boundedConn ends the answer after so many bytes.
type boundedConn struct {
	net.Conn
	left int
}

var errTooLong = errors.New("the answer is too long")

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// Ask asks the pods at the addresses at once and returns their answers in the same order.
func (p *Prober) Ask(ctx context.Context, addresses []string) []Result {
	results := make([]Result, len(addresses))
	each(ctx, addresses, func(ctx context.Context, i int) {
		results[i].Status, results[i].Err = p.ask(ctx, addresses[i], config.Entry)
	})
	return results
}

// each does the same for every address, at once and within the bounds.
func each(ctx context.Context, addresses []string, do func(ctx context.Context, i int)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(concurrency)
	for i := range addresses {
		group.Go(func() error {
			do(ctx, i)
			return nil
		})
	}
	_ = group.Wait() // none fails
}

func (p *Prober) ask(ctx context.Context, address, entry string) (config.Status, error) {
	var status config.Status
	err := p.get(ctx, p.client, address, "/status?entry="+entry, func(body io.Reader) error {
		return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&status)
	})
	if err != nil {
		return config.Status{}, err
	}
	if err := checkStatus(status); err != nil {
		return config.Status{}, fmt.Errorf("reading the answer: %w", err)
	}
	return status, nil
}

// get asks the pod on its second port, and lets its answer be read.
func (p *Prober) get(ctx context.Context, client *http.Client, address, path string, read func(io.Reader) error) error {
	url := "http://" + net.JoinHostPort(address, strconv.Itoa(p.port)) + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("making the question: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking: status %d", response.StatusCode)
	}
	if err := read(response.Body); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

// checkStatus refuses what no sidecar says: what it says stands in a status then.
func checkStatus(status config.Status) error {
	if len(status.Used) > maxUses || len(status.Serials) > maxSerials {
		return errors.New("it holds more than a sidecar has to say")
	}
	if status.WrongReceiver != nil && !idPattern.MatchString(status.WrongReceiver.ID) {
		return errors.New("the wrong receiver is no id")
	}
	return nil
}
