// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// Subject is the account that WeChat is played for, as its sidecars are configured, with the newest credentials.
type Subject struct {
	// Entry is the endpoint's name among the entries of the pods.
	Entry                 string
	Platform, MessageMode string
	AppID                 string
	ReceiverIDs           []string
	Host, Path, Query     string
	Pair                  config.Pair
}

// Play plays WeChat against the pods at the addresses, on their public port, and returns what is wrong with each, in the
// same order: nil is an answer that WeChat would take. The sidecars tell it from WeChat by its nonce.
func (p *Prober) Play(ctx context.Context, addresses []string, port int, s Subject) []error {
	results := make([]error, len(addresses))
	each(ctx, addresses, func(ctx context.Context, i int) {
		results[i] = s.play(ctx, net.JoinHostPort(addresses[i], strconv.Itoa(port)))
		if results[i] == nil && s.Platform == config.PlatformPay {
			results[i] = p.compareSerials(ctx, addresses[i], s)
		}
	})
	return results
}

func (s Subject) play(ctx context.Context, address string) error {
	sender := s.sender(address)
	sender.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		return dialBounded(ctx, address, maxPlayed)
	}
	return s.playWith(ctx, sender)
}

func (s Subject) playWith(ctx context.Context, sender *caller.Sender) error {
	switch s.Platform {
	case config.PlatformPay:
		return s.playPay(ctx, sender)
	case config.PlatformOpenPlatform:
		message := fmt.Appendf(nil, "<xml><InfoType>%s</InfoType></xml>", config.ProbeInfoType)
		_, refusal := diagnose.Success(sender.Post(ctx, message))
		return asError(refusal)
	}
	return asError(diagnose.URLCheck(sender.URLCheck(ctx)))
}

// playPay sends a forgery: nobody but WeChat Pay can sign what must be taken.
func (s Subject) playPay(ctx context.Context, sender *caller.Sender) error {
	request, err := sender.NewNotification("TRANSACTION.SUCCESS", []byte("{}"), caller.WithProbeSignature())
	if err != nil {
		return fmt.Errorf("making a notification: %w", err)
	}
	answer, err := sender.Send(ctx, request)
	switch {
	case err != nil:
		return fmt.Errorf("no answer: %w", err)
	case answer.Status != http.StatusForbidden:
		return fmt.Errorf("a forged notification is answered with %d, not refused", answer.Status)
	}
	return nil
}

// compareSerials holds that the pod takes the signatures of every key that the Secret has: a forgery is refused by a pod without
// keys, too.
func (p *Prober) compareSerials(ctx context.Context, address string, s Subject) error {
	status, err := p.ask(ctx, address, s.Entry)
	if err != nil {
		return err
	}
	for _, serial := range slices.Sorted(maps.Keys(s.Pair.PlatformKeys)) {
		if !slices.Contains(status.Serials, serial) {
			return fmt.Errorf("it does not know the key with serial %s", serial)
		}
	}
	return nil
}

// sender plays WeChat for the subject against one address. In place of a placeholder stands the AppID.
func (s Subject) sender(address string) *caller.Sender {
	host := s.Host
	if host == "" {
		host = "probe.invalid"
	}
	target := s.Path
	if s.Query != "" {
		target += "?" + s.Query
	}
	sender := &caller.Sender{
		URL: "http://" + host + caller.WithPathID(target, s.AppID), Address: address, Timeout: timeout,
		Nonce: func() string { return config.ProbeNoncePrefix + rand.Text() },
	}
	sender.PlayFor(caller.Account{
		Platform: s.Platform, MessageMode: s.MessageMode, AppID: s.AppID, ReceiverIDs: s.ReceiverIDs, PathID: s.AppID, Pair: s.Pair,
	})
	return sender
}

func asError(refusal *diagnose.Refusal) error {
	if refusal == nil {
		return nil
	}
	return errors.New(refusal.Cause)
}
