// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command page prints the commands of a page that WHO runs, with VERSION in the place of the version that pages name:
//
//	go run ./hack/page docs/release.md .github/workflows/release.yaml 0.2.0 | bash -e
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/docs"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: page FILE WHO VERSION")
		os.Exit(2)
	}
	commands, err := commandsOf(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintf(os.Stderr, "page: %v\n", err)
		os.Exit(1)
	}
	fmt.Print(commands)
}

func commandsOf(file, who, version string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	page, err := docs.Parse(string(text))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	var commands strings.Builder
	for _, block := range page.Blocks {
		if block.RunBy() == who {
			commands.WriteString(strings.ReplaceAll(block.Text, docs.Version, version))
		}
	}
	if commands.Len() == 0 {
		return "", fmt.Errorf("%s has no commands that %s runs", file, who)
	}
	return commands.String(), nil
}
