package http01

import "time"

// PathPrefix begins the paths at which an authority looks for answers.
const PathPrefix = "/.well-known/acme-challenge/"

type ChallengeOption struct{}

func SetDelay(time.Duration) ChallengeOption { return ChallengeOption{} }
