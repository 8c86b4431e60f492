package certificate

import "github.com/go-acme/lego/v5/certcrypto"

type ObtainRequest struct {
	Domains, EmailAddresses  []string
	Profile, PreferredChain  string
	Bundle, EnableCommonName bool
	KeyType                  certcrypto.KeyType
}

type RenewOptions struct {
	EmailAddresses           []string
	Profile, PreferredChain  string
	Bundle, EnableCommonName bool
}

type Resource struct {
	ID                      string
	Domains                 []string
	PrivateKey, Certificate []byte
}
