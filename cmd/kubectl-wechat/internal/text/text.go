// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package text says things in English or in Chinese. A message is written in English where it belongs, as the format of a
// Text or of an error; the table of this package has the same message in Chinese. The language is chosen where the message
// is printed, not where it is made.
package text

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/width"
)

// Language is one in which messages can be printed. The zero value is English.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Choose returns the language that is asked for, or else the one of the environment: of LC_ALL, LC_MESSAGES and LANG the
// first that is set. Whatever is not Chinese there is English.
func Choose(asked string, getenv func(string) string) (Language, error) {
	switch Language(asked) {
	case English, Chinese:
		return Language(asked), nil
	case "":
	default:
		return English, Errorf("--lang must be en or zh")
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := getenv(name); value != "" {
			if strings.HasPrefix(strings.ToLower(value), "zh") {
				return Chinese, nil
			}
			break
		}
	}
	return English, nil
}

// Text is a message before a language is chosen for it. The zero value is empty.
type Text struct {
	format string
	values []any
	// verbatim is what the English says in place of the format: it comes from a package that speaks English alone.
	verbatim string
}

// New makes a message. Values that are messages or errors are put into the language of the whole.
func New(format string, values ...any) Text { return Text{format: format, values: values} }

// Verbatim is text that is the same in every language, such as what the API server said, unless the table has it.
func Verbatim(said string) Text { return Text{format: "%s", values: []any{said}, verbatim: said} }

// Translated is said in English as it is, by a package that speaks English alone. In Chinese it is the message.
func Translated(said string, message Text) Text {
	return Text{format: "%s", values: []any{message}, verbatim: said}
}

// IsZero reports whether the message is empty.
func (t Text) IsZero() bool { return t.format == "" }

// String is the message in English.
func (t Text) String() string { return English.Say(t) }

// Say is the message in that language.
func (l Language) Say(t Text) string {
	if t.verbatim != "" && l != Chinese {
		return t.verbatim
	}
	if translated, ok := chinese[t.verbatim]; ok {
		return translated
	}
	return l.Sprintf(t.format, t.values...)
}

// Sprintf is fmt.Sprintf of the message with that English format.
func (l Language) Sprintf(format string, values ...any) string {
	if l == Chinese {
		if translated, ok := chinese[format]; ok {
			format = translated
		}
	}
	return fmt.Sprintf(strings.ReplaceAll(format, "%w", "%v"), l.put(values)...)
}

// put puts messages and errors into the language.
func (l Language) put(values []any) []any {
	said := make([]any, len(values))
	for i, value := range values {
		switch value := value.(type) {
		case Text:
			said[i] = l.Say(value)
		case error:
			said[i] = l.Error(value)
		default:
			said[i] = value
		}
	}
	return said
}

// problem is an error with a message.
type problem struct {
	Text
	err error
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return errors.Unwrap(p.err) }

// Errorf is fmt.Errorf, and the error's message can be said in every language.
func Errorf(format string, values ...any) error {
	return &problem{New(format, values...), fmt.Errorf(format, values...)}
}

// Error is the message of an error. What other packages say stays English, unless the table has it.
func (l Language) Error(err error) string {
	if known, ok := err.(*problem); ok { //nolint:errorlint // a wrapping error has words of its own, which errors.As would skip
		return l.Say(known.Text)
	}
	return l.Say(Verbatim(err.Error()))
}

// Pad fills a text with spaces to that many columns of a terminal, where Chinese characters take two.
func Pad(said string, columns int) string {
	used := 0
	for _, c := range said {
		switch width.LookupRune(c).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			used += 2
		default:
			used++
		}
	}
	return said + strings.Repeat(" ", max(0, columns-used))
}
