// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"

	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// Forms of output, by --output; empty is for people.
const (
	outputJSON = "json"
	outputYAML = "yaml"
	outputWide = "wide"
)

func (o options) validateOutput() error {
	switch o.output {
	case "", outputJSON, outputYAML:
		return nil
	case outputWide:
		if o.command == commandStatus {
			return nil
		}
		return text.Errorf("--output must be json or yaml")
	}
	if o.command == commandStatus {
		return text.Errorf("--output must be json, yaml or wide")
	}
	return text.Errorf("--output must be json or yaml")
}

// print writes a value as JSON or YAML, and reports whether that was asked for.
func (p Plugin) print(output string, value any) (bool, error) {
	var data []byte
	var err error
	switch output {
	case outputJSON:
		data, err = json.MarshalIndent(value, "", "  ")
		data = append(data, '\n')
	case outputYAML:
		data, err = yaml.Marshal(value)
	default:
		return false, nil
	}
	if err == nil {
		_, err = p.Stdout.Write(data)
	}
	return true, err
}
