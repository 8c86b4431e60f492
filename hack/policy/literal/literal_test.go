// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package literal

import "testing"

func TestOf(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"a string":            {"it is", `'it is'`},
		"one with a quote":    {"it's", `"it's"`},
		"one of more lines":   {"a\nb", `"a\nb"`},
		"values alike":        {map[string]any{"b": "x", "a": "y"}, `{'a': 'y', 'b': 'x'}`},
		"values that are not": {map[string]any{"a": "y", "b": int64(1), "c": []any{true}}, `{'a': dyn('y'), 'b': dyn(1), 'c': dyn([true])}`},
		"a map alone":         {[]any{map[string]any{"a": map[string]any{"b": 1.0}}}, `[{'a': {'b': 1}}]`},
		"maps":                {[]any{map[string]any{"a": "b"}, map[string]any{}}, `[dyn({'a': 'b'}), dyn({})]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Of(test.value); err != nil || got.Text != test.want {
				t.Errorf("%s, %v; want %s", got.Text, err, test.want)
			}
		})
	}
	if _, err := Of(0.5); err == nil {
		t.Error("half a number is written")
	}
}

func TestLoose(t *testing.T) {
	got, err := Loose([]byte(`{"b": ["it's <so>", 1, 0.5, null], "a": {"c": true}}`))
	want := `dyn({"a": dyn({"c": dyn(true)}), "b": dyn([dyn("it's \u003cso\u003e"), dyn(1), dyn(0.5), dyn(null)])})`
	if err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}
