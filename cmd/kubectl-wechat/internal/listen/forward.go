// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// PortForward returns a Dial that connects as kubectl port-forward does: by the API server, with the right to create pods/portforward. No port is opened
// on this computer, where others could call it.
func PortForward(config *rest.Config, namespace string) (Dial, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.Timeout = 0 // it is of one request, and a tap is long
	api, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, pod Pod) (net.Conn, error) {
		url := api.Post().Namespace(namespace).Resource("pods").Name(pod.Name).SubResource("portforward").URL()
		transport, upgrader, err := spdy.RoundTripperFor(config) // which is of one connection
		if err != nil {
			return nil, err
		}
		older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
		newer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, config)
		if err != nil {
			return nil, err
		}
		dialer := portforward.NewFallbackDialerForStreaming(newer, older, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		})
		return dialWithin(ctx, dialer, pod)
	}, nil
}

// dialWithin dials, and leaves a dialer that does not end in time to itself.
func dialWithin(ctx context.Context, dialer httpstream.Dialer, pod Pod) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		conn, err := forward(dialer, pod)
		done <- dialed{conn, err}
	}()
	select {
	case d := <-done:
		if d.err != nil && strings.Contains(d.err.Error(), "is forbidden") { // the text is all that is left of the API server's error
			return nil, text.Errorf("you may not forward ports of pod %s: ask for the right to create pods/portforward: %w", pod.Name, d.err)
		}
		return d.conn, d.err
	case <-ctx.Done():
		go func() {
			if d := <-done; d.conn != nil {
				_ = d.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// forward opens the two streams of a forwarded connection.
func forward(dialer httpstream.Dialer, pod Pod) (net.Conn, error) {
	connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	header.Set(corev1.PortHeader, strconv.Itoa(int(pod.Port)))
	header.Set(corev1.PortForwardRequestIDHeader, "0")
	header.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := connection.CreateStream(header)
	if err == nil {
		_ = failures.Close() // nothing is written to it
		header.Set(corev1.StreamType, corev1.StreamTypeData)
		var data httpstream.Stream
		if data, err = connection.CreateStream(header); err == nil {
			f := &forwarded{Stream: data, connection: connection}
			go f.watch(failures)
			return f, nil
		}
	}
	_ = connection.Close()
	return nil, err
}

// forwarded is a connection through the API server.
type forwarded struct {
	httpstream.Stream
	connection httpstream.Connection

	mu     sync.Mutex
	failed error
}

// watch ends the connection when the node says that it cannot reach the port.
func (f *forwarded) watch(failures io.Reader) {
	message, err := io.ReadAll(io.LimitReader(failures, 1<<10))
	if err != nil || len(message) == 0 {
		return
	}
	f.mu.Lock()
	f.failed = errors.New(string(message))
	f.mu.Unlock()
	_ = f.connection.Close()
}

// Read reads what the pod sent.
func (f *forwarded) Read(to []byte) (int, error) {
	n, err := f.Stream.Read(to)
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.failed != nil {
			err = f.failed
		}
	}
	return n, err
}

// Close ends both directions.
func (f *forwarded) Close() error {
	_ = f.Reset() // what was not sent is not waited for
	return f.connection.Close()
}

func (f *forwarded) LocalAddr() net.Addr  { return forwardedAddr{} }
func (f *forwarded) RemoteAddr() net.Addr { return forwardedAddr{} }

// Deadlines are the caller's: he closes the connection.
func (f *forwarded) SetDeadline(time.Time) error      { return nil }
func (f *forwarded) SetReadDeadline(time.Time) error  { return nil }
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }

type forwardedAddr struct{}

func (forwardedAddr) Network() string { return "port-forward" }
func (forwardedAddr) String() string  { return "port-forward" }
