package main

import (
	"io"
	"net"
)

// The cluster's network namespace has no way out and the host none in, but Unix sockets cross: a process inside forwards
// from a socket file to the cluster, one on the host forwards from a port to the socket file.

// relay accepts connections and joins each to a new one to address, for as long as the listener is open.
func relay(listener net.Listener, network, address string) {
	for {
		accepted, err := listener.Accept()
		if err != nil {
			return
		}
		go join(accepted, network, address)
	}
}

// join copies both ways until both sides have said all. A failed dial closes the accepted connection: that is what a
// client sees of a cluster that does not answer yet.
func join(accepted net.Conn, network, address string) {
	defer accepted.Close()
	dialed, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer dialed.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		forward(dialed, accepted)
	}()
	forward(accepted, dialed)
	<-done
}

// forward copies until from has ended and tells to so, leaving the other direction open.
func forward(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = from.Close() // whoever still sends there must not wait
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the other side may have gone
	}
}
