// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// completionTimeout bounds what a press of Tab asks the cluster: somebody waits for the shell.
const completionTimeout = 3 * time.Second

// completer is the program that kubectl looks for.
const completer = "#!/bin/sh\nexec kubectl wechat __complete \"$@\"\n"

func (p Plugin) completion(context.Context, options) (int, error) {
	fmt.Fprint(p.Stdout, completer)
	return StatusOK, nil
}

// completeEndpoints proposes the endpoints of the namespace, for commands that take one.
func (p Plugin) completeEndpoints(o *options) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.namesOf(c.Context(), o, &v1alpha1.WeChatEndpointList{}), cobra.ShellCompDirectiveNoFileComp
	}
}

// namesOf are the names of the objects of that kind in the namespace, or in the cluster where the kind has none. What the cluster does
// not tell is not proposed.
func (p Plugin) namesOf(ctx context.Context, o *options, list client.ObjectList) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	cluster, namespace, err := p.connect(*o)
	if err != nil {
		return nil
	}
	if _, is := list.(*corev1.NamespaceList); is {
		namespace = ""
	}
	names, err := listNames(ctx, cluster, namespace, list)
	if err != nil {
		return nil
	}
	return names
}

// completeFlags proposes the values of flags.
func (p Plugin) completeFlags(root *cobra.Command, o *options) {
	fixed := map[string][]string{
		"lang": {"en", "zh"}, "mode": {"Plaintext", "Compatible", "Encrypted"}, "platform": platformNames(), "scenario": allScenarios(), "output": {outputJSON, outputYAML, outputWide},
	}
	propose := map[string]cobra.CompletionFunc{
		"namespace": func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return p.namesOf(c.Context(), o, &corev1.NamespaceList{}), cobra.ShellCompDirectiveNoFileComp
		},
		"gateway": func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return p.namesOf(c.Context(), o, &v1alpha1.WeChatGatewayList{}), cobra.ShellCompDirectiveNoFileComp
		},
		"context": func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			config, err := o.cluster.ToRawKubeConfigLoader().RawConfig()
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return slices.Sorted(maps.Keys(config.Contexts)), cobra.ShellCompDirectiveNoFileComp
		},
	}
	for name, values := range fixed {
		propose[name] = cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	}
	for _, c := range append(root.Commands(), root) {
		for name, function := range propose {
			if c.LocalFlags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, function) // which fails where it is registered already
			}
		}
	}
}

func platformNames() (names []string) {
	for _, platform := range platforms {
		names = append(names, string(platform))
	}
	return names
}

func allScenarios() (all []string) {
	for _, platform := range platforms {
		for _, scenario := range scenarios[platform] {
			if !slices.Contains(all, scenario) {
				all = append(all, scenario)
			}
		}
	}
	return all
}
