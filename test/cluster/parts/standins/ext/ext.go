// Package ext is the place of what Traefik's enterprise edition adds to its configuration: nothing. Traefik keeps the package in a
// module that is not published.
package ext

type HTTP struct{}

type Router struct{}
