// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/taps"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/tracing"
)

// DefaultMemory is what a sidecar may use where nothing says otherwise: the limit that its pods have by default. Bytes.
const DefaultMemory = 64 << 20

// minMemory and maxMemory are the least and the most that the bounds are made for. Bytes.
const (
	minMemory = 24 << 20
	maxMemory = 1 << 30
)

// bounds are of what one sidecar holds at once. All of them follow from the memory that it may use, so that they stay below it
// together: a quarter is left for the program itself, and a fifth for what the garbage collector has not collected yet. That they
// do is not argued but tried, in a memory cgroup (test/limits).
type bounds struct {
	// connections of routers and clients. One takes 26 KiB while its request is worked on.
	connections int
	// calls to apps, and half as many that wait for a place. One takes 14 KiB besides, and 2 KiB more where messages are traced.
	calls int
	// handovers that this pod waits for, and as many that it takes. One takes 30 KiB here, and what a callback takes there.
	handovers int
	// bodies of messages and replies, of which the first freeBody bytes are free.
	bodies int64
	// strangers is for bodies that nobody has verified yet. Half of it is for the largest, however many endpoints there are.
	strangers int64
	// uses and repeats are what is remembered.
	uses, repeats int
	// spans that wait to be sent, where messages are traced.
	spans int
	// verdicts are remembered of the last callbacks, and taps is for copies of messages that somebody looks at.
	verdicts int
	taps     int64
	// entries are what the endpoints themselves take, where there are several.
	entries int
}

// boundsFor returns the bounds of a process that may use so many bytes; 0 is DefaultMemory.
func boundsFor(memory int64) bounds {
	if memory == 0 {
		memory = DefaultMemory
	}
	memory = min(max(memory, minMemory), maxMemory)
	return bounds{
		connections: int(memory / (160 << 10)),
		calls:       int(memory / (256 << 10)),
		handovers:   int(memory / (512 << 10)),
		bodies:      memory / 4,
		strangers:   max(memory/32, 2*MaxBodySize),
		uses:        int(memory / 20),
		repeats:     int(memory / 16),
		spans:       int(memory / 64 / tracing.SpanCost),
		verdicts:    int(memory / 128 / taps.VerdictSize),
		taps:        memory / 64,
		entries:     config.RoomForEntries(memory),
	}
}

// Bounds of one body. WeChat documents none; its largest have a few KiB. Bytes.
const (
	// MaxBodySize is for a message in plaintext mode: its signature is verified before it is read.
	MaxBodySize = 1 << 20
	// MaxUnverifiedSize is for an encrypted one, and for a payment, which must be read before anything is known of its sender. It is for
	// 190 KiB of text.
	MaxUnverifiedSize = 256 << 10
	// freeBody of each body and reply is not counted: it is a part of what its connection takes.
	freeBody = 8 << 10
)

// maxBody is how long the body of a message may be.
func maxBody(c *config.Config) int64 {
	if c.Encrypted() || c.Platform == config.PlatformPay {
		return MaxUnverifiedSize
	}
	return MaxBodySize
}

// Bounds of a connection. A client that needs longer for a request than WeChat waits for the answer is cut off. The idle
// time is longer than the 60 s and 90 s of common ingress controllers, so that it is they who close a connection, and no
// message is sent into one that closes.
const (
	headTimeout  = 5 * time.Second
	readTimeout  = 8 * time.Second
	writeTimeout = 15 * time.Second
	idleTimeout  = 2 * time.Minute
)

// door is of the public port. A head of WeChat's has 400 bytes in ten lines; ingress controllers, meshes and content delivery
// networks add some thirty lines, and one or two KiB.
func (b bounds) door() door.Bounds {
	return door.Bounds{Connections: b.connections, HeadSize: 8 << 10, HeadLines: 64, HeadTime: headTimeout, Grace: doorGrace}
}

// doorGrace is for a packet to come and for a server to read it, where the processor has other work.
const doorGrace = 100 * time.Millisecond

// The second port is for a kubelet, an operator and some Prometheus, for other pods that hand over callbacks, and for taps.
const opsIdleTimeout = 15 * time.Second

// tellers is how many pods are expected to tell this one of uses.
const tellers = 8

// opsDoor has room for what is handed over beside the others, for what is told, and for taps, each with a connection for answers. A head has a
// callback's own in it.
func (b bounds) opsDoor() door.Bounds {
	return door.Bounds{Connections: 32 + b.handovers + tellers*peers.MaxTells + 2*taps.MaxOfProcess, HeadSize: 10 << 10, HeadLines: 32, HeadTime: 2 * time.Second, Grace: doorGrace}
}

// Patience of a callback. WeChat hangs up after 5 s and sends a message three times in all.
const (
	bodyPatience       = 4 * time.Second  // to find room for a body
	awaitRetryPatience = 14 * time.Second // for the reply of an app whose callers wait for WeChat's retries
)

const linesInLog = 5 // per second, of each kind; all are counted in the metrics
