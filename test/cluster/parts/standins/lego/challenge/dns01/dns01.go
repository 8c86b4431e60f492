package dns01

import (
	"strings"
	"time"
)

type (
	ChallengeOption struct{}
	Client          struct{}
	Options         struct{ RecursiveNameservers []string }
)

func NewClient(*Options) *Client { return nil }

func SetDefaultClient(*Client) {}

func CondOptions(bool, ...ChallengeOption) ChallengeOption           { return ChallengeOption{} }
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return ChallengeOption{} }
func DisableRecursiveNSsPropagationRequirement() ChallengeOption     { return ChallengeOption{} }
func PropagationWait(time.Duration, bool) ChallengeOption            { return ChallengeOption{} }

// UnFqdn is the name without the dot at its end. Traefik asks for it of every certificate, wherever that is from.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
