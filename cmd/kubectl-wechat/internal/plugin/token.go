// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// maxTokenFile bounds what is read of a token file: a token has at most 32 characters. Bytes.
const maxTokenFile = 4 << 10

// tokenOfFile reads a token from a file, or from standard input for -. An editor and echo end a line with a newline, so
// one is left out. Errors do not quote the path, which is the token if somebody mistakes the flag.
func (p Plugin) tokenOfFile(path string) (string, error) {
	if path == "-" {
		return readToken("standard input", p.Stdin)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the token file: %w", withoutPath(err))
	}
	defer file.Close()
	return readToken("the token file", file)
}

func readToken(where string, reader io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(reader, maxTokenFile))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", where, withoutPath(err))
	}
	token := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	return checkToken(where, token)
}

// checkToken refuses what the operator would refuse, without quoting it.
func checkToken(where, token string) (string, error) {
	if err := config.ValidateToken(token); err != nil {
		return "", fmt.Errorf("the token in %s %w", where, err)
	}
	return token, nil
}

func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
