// Package lego stands in for the ACME client of that name: it has the names that Traefik compiles against, and no client.
// A Traefik that is configured to ask an authority for certificates says so in its log, and gets none.
package lego

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

var errLeftOut = errors.New("this Traefik is built without an ACME client")

type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         struct{ Timeout time.Duration }
}

func NewConfig(registration.User) *Config { return &Config{} }

type Client struct {
	Certificate interface {
		Obtain(context.Context, certificate.ObtainRequest) (*certificate.Resource, error)
		Renew(context.Context, certificate.Resource, *certificate.RenewOptions) (*certificate.Resource, error)
	}
	Challenge interface {
		SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error
		SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error
		SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error
	}
	Registration interface {
		Register(context.Context, registration.RegisterOptions) (*acme.ExtendedAccount, error)
		RegisterWithExternalAccountBinding(context.Context, registration.RegisterEABOptions) (*acme.ExtendedAccount, error)
	}
}

func NewClient(*Config) (*Client, error) { return nil, errLeftOut }

func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errLeftOut }
