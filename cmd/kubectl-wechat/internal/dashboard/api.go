// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// apiPath begins the paths for which a request needs the token.
const apiPath = "/api/"

// maxText is the longest text of a test message: WeChat's users write 600 characters.
const maxText = 600

// api answers the page's requests with JSON.
type api struct {
	cluster Cluster
	traffic *sampler
	calls   chan struct{}
	tails   chan struct{}
}

// failure is an answer other than 200.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }

// call bounds how long a call may take and how many there are at once, and writes what it returns.
func (a api) call(serve func(*http.Request, text.Language) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		lang := accepted(r.Header.Get("Accept-Language"))
		select {
		case a.calls <- struct{}{}:
			defer func() { <-a.calls }()
		default:
			write(w, http.StatusServiceUnavailable, said{lang.Error(text.Errorf("too many requests at once: close other windows with this page"))})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		answer, err := serve(r.WithContext(ctx), lang)
		var refused *failure
		switch {
		case err == nil:
			write(w, http.StatusOK, answer)
		case errors.As(err, &refused):
			write(w, refused.status, said{lang.Error(refused.err)})
		default:
			write(w, http.StatusBadGateway, said{lang.Error(err)})
		}
	}
}

// said is an error of the API.
type said struct {
	Error string `json:"error"`
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a page that is closed needs no answer
}

// accepted is the language that the header Accept-Language prefers. The page's switch sets it; otherwise the browser does.
func accepted(header string) text.Language {
	chosen, best := text.English, 0.0
	for part := range strings.SplitSeq(header, ",") {
		tag, parameter, weighted := strings.Cut(strings.TrimSpace(part), ";")
		weight := 1.0
		if weighted {
			var err error
			if weight, err = strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(parameter), "q="), 64); err != nil {
				continue
			}
		}
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if lang := text.Language(primary); (lang == text.Chinese || lang == text.English) && weight > best {
			chosen, best = lang, weight
		}
	}
	return chosen
}

// ref is the object that the path names.
func ref(r *http.Request) (Ref, error) {
	named := Ref{Kind: r.PathValue("kind"), Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
	if named.Kind != KindEndpoint && named.Kind != KindGateway {
		return Ref{}, &failure{http.StatusNotFound, text.Errorf("there is no such kind")}
	}
	for _, part := range []string{named.Namespace, named.Name} {
		if part == "" || len(part) > 253 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			return Ref{}, &failure{http.StatusNotFound, text.Errorf("that is no name of an object")}
		}
	}
	return named, nil
}

// words are what the page itself says.
func (a api) words(_ *http.Request, lang text.Language) (any, error) {
	return struct {
		Lang  text.Language     `json:"lang"`
		Words map[string]string `json:"words"`
	}{lang, words(lang)}, nil
}

func (a api) list(r *http.Request, lang text.Language) (any, error) {
	return a.cluster.List(r.Context(), lang), nil
}

func (a api) show(r *http.Request, lang text.Language) (any, error) {
	named, err := ref(r)
	if err != nil {
		return nil, err
	}
	return a.cluster.Show(r.Context(), lang, named)
}

func (a api) sample(r *http.Request, lang text.Language) (any, error) {
	named, err := ref(r)
	if err != nil {
		return nil, err
	}
	return a.traffic.sample(r.Context(), lang, named)
}

func (a api) send(r *http.Request, lang text.Language) (any, error) {
	named, err := ref(r)
	if err != nil {
		return nil, err
	}
	if named.Kind != KindEndpoint {
		return nil, &failure{http.StatusNotFound, text.Errorf("a test message goes to an endpoint")}
	}
	var message Message
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&message); err != nil {
		return nil, &failure{http.StatusBadRequest, text.Errorf("the request cannot be read")}
	}
	if utf8.RuneCountInString(message.Text) > maxText {
		return nil, &failure{http.StatusBadRequest, text.Errorf("the text has more than %d characters", maxText)}
	}
	return a.cluster.Send(r.Context(), lang, named, message)
}
