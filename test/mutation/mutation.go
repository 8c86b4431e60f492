// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
)

// mutation weakens one check.
type mutation struct {
	// name says what passes because of it, or what is lost.
	name string
	// file is the source, by its path in the repository.
	file string
	// packages are those whose tests must notice.
	packages []string
	// before stands in the file exactly once, and after takes its place.
	before, after string
}

// parse reads mutations: paragraphs of a name, lines with - that stand in the file, and lines with + that take their
// place. A paragraph of file: and tests: lines says where the ones below it belong. A line with # is a comment.
func parse(text string) ([]mutation, error) {
	var all []mutation
	var file string
	var packages []string
	for _, paragraph := range strings.Split(text, "\n\n") {
		var m mutation
		var before, after []string
		for _, line := range strings.Split(strings.Trim(paragraph, "\n"), "\n") {
			kind, rest, _ := strings.Cut(line, " ")
			switch kind {
			case "", "#":
			case "file:":
				file = rest
			case "tests:":
				packages = strings.Fields(rest)
			case "-":
				before = append(before, rest)
			case "+":
				after = append(after, rest)
			default:
				if m.name != "" {
					return nil, fmt.Errorf("%q has two names, the other one is %q: leave an empty line between mutations", line, m.name)
				}
				m.name = line
			}
		}
		m.file, m.packages = file, packages
		m.before, m.after = strings.Join(before, "\n"), strings.Join(after, "\n")
		if m.name == "" && m.before == "" && m.after == "" {
			continue
		}
		if err := m.check(all); err != nil {
			return nil, fmt.Errorf("mutation %q %w", m.name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func (m mutation) check(others []mutation) error {
	switch {
	case m.name == "":
		return errors.New("has no name")
	case m.file == "" || len(m.packages) == 0:
		return errors.New("has no file: or no tests: above it")
	case m.before == "":
		return errors.New("has no line with -")
	case m.before == m.after:
		return errors.New("changes nothing")
	}
	for _, other := range others {
		if other.name == m.name {
			return errors.New("stands twice")
		}
	}
	return nil
}

// apply returns the source as the mutation has it.
func (m mutation) apply(source string) (string, error) {
	if n := strings.Count(source, m.before); n != 1 {
		return "", fmt.Errorf("its text stands %d times in %s, must be once", n, m.file)
	}
	return strings.Replace(source, m.before, m.after, 1), nil
}
