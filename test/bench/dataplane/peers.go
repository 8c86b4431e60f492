//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/load"
	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/process"
)

// Addresses that the peers' configurations name, too.
const (
	peerAddress = "127.78.0.1:7080"
	appAddress  = "127.78.0.1:7081"
	opsAddress  = "127.78.0.1:7082"
)

// account stands in the peers' configurations, too.
var account = load.Account{Token: "BenchToken1", EncodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", AppID: "wx5823bf96d3bd56c7"}

//go:embed all:peers
var peerFiles embed.FS

// peer is one way to bring messages to an app.
type peer struct {
	name     string
	says     string // what it is
	verifies bool   // a forged request does not reach the app
	decrypts bool   // can do the column decrypt. Others pass the envelope there, as in the column envelope
	answers  bool   // answers the URL check itself
	isApp    bool   // there is no app behind it
	joins    bool   // a repeat of a message does not reach the app
	blind    bool   // sees no body: it cannot do the columns with envelopes
	maxBody  int    // of a message that it can look into, in bytes; 0 is any
	sidecar  bool
	// programs are what is started, in a folder that has the peer's files.
	programs programs
}

// programs returns what is started for the peer of that name.
type programs func(s settings, name, folder string, c column) ([]process.Program, error)

// environment is all that the peers know. Go's programs see by themselves that they have one core.
var environment = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}

// peers in the order of the table.
var peers = []peer{
	{name: "nginx", says: "nginx, verifies nothing", programs: nginx},
	{name: "nginx-lua", says: "nginx, the signature in Lua", verifies: true, answers: true, programs: nginx},
	{name: "nginx-njs", says: "nginx, the signature in njs", verifies: true, answers: true, programs: nginx},
	{name: "haproxy", says: "HAProxy, the signature in Lua", verifies: true, answers: true, maxBody: 8000, programs: haproxy},
	{name: "nginx-auth-request", says: "nginx, asks a small service in Go", verifies: true, blind: true, programs: both(nginx, authService)},
	{name: "traefik", says: "Traefik, asks the same service", verifies: true, blind: true, programs: both(traefik, authService)},
	{name: "httputil", says: "Go, httputil.ReverseProxy behind a check", verifies: true, answers: true, decrypts: true, programs: goPeer},
	{name: "fasthttp", says: "Go, fasthttp's server and client", verifies: true, answers: true, decrypts: true, programs: goPeer},
	{name: "sdk", says: "Node.js, the app itself verifies with co-wechat", verifies: true, answers: true, decrypts: true, isApp: true, programs: sdk},
	sidecarPeer("sidecar", "the sidecar with one endpoint", 1),
	sidecarPeer("sidecar-1000", "the sidecar with 1,000 endpoints", 1000),
}

// before is the peer that runs the other sidecar.
const before = "sidecar-before"

func sidecarPeer(name, says string, endpoints int) peer {
	return peer{name: name, says: says, verifies: true, answers: true, decrypts: true, joins: true, sidecar: true, programs: sidecarWith(endpoints)}
}

// does reports whether the peer can do the column.
func (p peer) does(c column) bool {
	if c.sidecarOnly && !p.sidecar || p.maxBody > 0 && c.kind.Size > p.maxBody {
		return false
	}
	return c.kind.Path == plaintextPath || c.kind.Path == decryptPath && p.decrypts || !p.blind && !p.isApp
}

// reaches reports whether the app gets the column's requests.
func (p peer) reaches(c column) bool {
	return !p.isApp && (!p.verifies || !c.kind.Forged) && (!p.answers || !c.kind.URLCheck)
}

// atApp is how many of so many requests reach the app, once all are answered.
func (p peer) atApp(c column, sent int) int {
	switch {
	case !p.reaches(c):
		return 0
	case p.joins && c.kind.Times > 1:
		return load.Different(sent, c.kind.Times)
	}
	return sent
}

// path returns which path this peer is called at in a column.
func (p peer) path(c column) string {
	if c.kind.Path == decryptPath && !p.decrypts {
		return envelopePath
	}
	return c.kind.Path
}

// copyFiles puts the peer's files into a folder, if it has any.
func (p peer) copyFiles(folder string) error {
	files, err := fs.Sub(peerFiles, "peers/"+p.name)
	if err != nil {
		return err
	}
	if _, err := fs.Stat(files, "."); err != nil {
		return nil //nolint:nilerr // it needs none
	}
	return os.CopyFS(folder, files)
}

func nginx(_ settings, _, folder string, _ column) ([]process.Program, error) {
	return []process.Program{{Path: "nginx", Arguments: []string{"-p", folder + "/", "-c", "nginx.conf"}, Environment: environment}}, nil
}

func haproxy(_ settings, _, _ string, _ column) ([]process.Program, error) {
	return []process.Program{{Path: "haproxy", Arguments: []string{"-db", "-f", "haproxy.cfg"}, Environment: environment}}, nil
}

func traefik(s settings, name, _ string, _ column) ([]process.Program, error) {
	return []process.Program{{Path: filepath.Join(s.programs, "peer-"+name), Arguments: []string{"--configfile=traefik.yaml"}, Environment: environment}}, nil
}

func authService(s settings, _, folder string, c column) ([]process.Program, error) {
	return goPeer(s, "authservice", folder, c)
}

// sdk is an app in Node.js, with the packages of test/interop.
func sdk(s settings, _, _ string, _ column) ([]process.Program, error) {
	packages, err := filepath.Abs("test/interop")
	arguments := []string{"app.mjs", packages, account.Token, account.EncodingAESKey, account.AppID}
	return []process.Program{{Path: "node", Arguments: arguments, Environment: append(environment, "NODE_ENV=production")}}, err
}

// both starts the programs of both.
func both(one, other programs) programs {
	return func(s settings, name, folder string, c column) ([]process.Program, error) {
		a, err := one(s, name, folder, c)
		b, otherErr := other(s, name, folder, c)
		return append(a, b...), errors.Join(err, otherErr)
	}
}

// goPeer is the program of that name beside this one.
func goPeer(s settings, name, _ string, _ column) ([]process.Program, error) {
	program := filepath.Join(s.programs, "peer-"+name)
	return []process.Program{{Path: program, Arguments: []string{account.Token, account.EncodingAESKey}, Environment: environment}}, nil
}

// sidecarWith starts the sidecar as the operator does, with so many endpoints. The messages are for one of them.
func sidecarWith(usual int) programs {
	return func(s settings, name, folder string, c column) ([]process.Program, error) {
		endpoints := usual
		binary := s.sidecar
		if name == before {
			binary = s.before
		}
		documents := filepath.Join(folder, "documents")
		version := filepath.Join(documents, "..1") // as a kubelet lays out a volume
		if err := errors.Join(os.MkdirAll(version, 0o755), os.Symlink("..1", filepath.Join(documents, "..data"))); err != nil {
			return nil, err
		}
		if c.sidecar.endpoints > 0 {
			endpoints = c.sidecar.endpoints
		}
		arguments := []string{"--config-dir=" + documents, "--listen=" + peerAddress, "--ops-listen=" + opsAddress, fmt.Sprint("--memory=", memoryFor(endpoints))}
		for i := range endpoints {
			entry, document := config.Entry, documentOf(c)
			if endpoints > 1 {
				entry = fmt.Sprintf("shop-%04d", i)
			}
			if i > 0 {
				document.Endpoint += fmt.Sprint("-", i)
				document.Path += fmt.Sprint("/", i)
			}
			if err := writeDocument(filepath.Join(version, entry+config.DocumentSuffix), document); err != nil {
				return nil, err
			}
		}
		return []process.Program{{Path: binary, Arguments: arguments, Environment: environment}}, nil
	}
}

// measured is the endpoint that the messages are for.
const measured = "bench/shop"

// memoryFor is a memory limit of which the entries may have an eighth: 20 KiB each, but not less than that of pods by default. Bytes.
func memoryFor(entries int) int64 { return max(sidecar.DefaultMemory, int64(entries)*8*20<<10) }

// documentOf is what the operator writes for the endpoint that a column needs.
func documentOf(c column) config.Document {
	document := config.Document{
		Config: config.Config{
			Generation: "0123456789-1", Endpoint: measured, Platform: config.PlatformOfficialAccount, AppID: account.AppID,
			MessageMode: config.ModePlaintext, Host: "wx.example.com", Path: c.kind.Path,
			Backend: config.Backend{URL: "http://" + appAddress, Path: c.kind.Path, Payload: config.PayloadDecrypted},
		},
		Credentials: config.Credentials{GatewayKey: make([]byte, config.GatewayKeySize), Pairs: []config.Pair{{Generation: 1, Token: account.Token}}},
	}
	if c.kind.Encrypted {
		document.MessageMode, document.Credentials.Pairs[0].EncodingAESKey = config.ModeEncrypted, account.EncodingAESKey
	}
	for i := 1; i < c.sidecar.pairs; i++ {
		other := document.Credentials.Pairs[0]
		other.Generation, other.Token = other.Generation+1, fmt.Sprint("OtherToken", i)
		document.Credentials.Pairs = append([]config.Pair{other}, document.Credentials.Pairs...)
	}
	for i := range c.sidecar.rules {
		document.Rules = append(document.Rules, config.Rule{Match: config.Match{MsgType: "event", Event: fmt.Sprint("NONE_", i)}, Action: config.ActionDiscard})
	}
	if c.kind.Path == envelopePath {
		document.Backend.Payload = config.PayloadOriginal
	}
	return document
}

func writeDocument(path string, document config.Document) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
