// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"slices"
	"sync"
	"time"
)

// Bounds of connections to apps.
const (
	idleTimeout = 30 * time.Second
	// maxAge is how old a connection may be that is kept. The next one may lead to another address: pods come and go, and those that came last
	// are to have their part.
	maxAge  = time.Minute
	maxIdle = 128 // connections that are kept open and not used
)

// target is whom a connection leads to. One that was made to an app known by one authority is no connection to an app known by
// another, though the address be the same.
type target struct {
	origin   string
	identity Identity
}

// pool keeps connections that an app left open. The zero value is ready for use, and safe for concurrent use.
type pool struct {
	mu   sync.Mutex
	idle []*connection // the last one used at the end
}

// take takes the connection to the target that was used last, and closes those that nobody has used for long. It returns nil where none is kept.
func (p *pool) take(t target) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(time.Now())
	for i := len(p.idle) - 1; i >= 0; i-- {
		if found := p.idle[i]; found.target == t {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return found
		}
	}
	return nil
}

// put keeps a connection of which everything was read, unless it is too old.
func (p *pool) put(c *connection) {
	now := time.Now()
	if now.Sub(c.made) > maxAge {
		c.close()
		return
	}
	c.letGo()
	c.used, c.kept = true, now
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(c.kept)
	if len(p.idle) == maxIdle {
		p.drop(1)
	}
	p.idle = append(p.idle, c)
}

func (p *pool) expire(now time.Time) {
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].kept) > idleTimeout {
		n++
	}
	p.drop(n)
}

// forget closes all connections to a target.
func (p *pool) forget(t target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(c *connection) bool {
		if c.target == t {
			c.close()
		}
		return c.target == t
	})
}

// drop closes the n that were used the longest ago.
func (p *pool) drop(n int) {
	if n == 0 {
		return
	}
	for _, old := range p.idle[:n] {
		old.close()
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
}
