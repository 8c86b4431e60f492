// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prometheus runs the real Prometheus in tests, and its promtool. tools/unpack fetches them.
package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tools returns the folder of prometheus and promtool. Tests run in their own folder, which is two below the checkout.
func tools(t testing.TB) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "../../tools/unpack", "prometheus", "promtool", "prometheus")
	command.Stderr = os.Stderr
	folder, err := command.Output()
	if err != nil {
		t.Fatalf("tools/unpack: %v", err)
	}
	return strings.TrimSpace(string(folder))
}

// Promtool runs promtool with what it reads from its standard input, and returns what it says and whether it is content.
func Promtool(t testing.TB, stdin string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(tools(t), "promtool"), arguments...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	return string(out), err
}

// Config is what a Prometheus scrapes, and what it evaluates.
type Config struct {
	// Interval is how often. It is a second unless it is set.
	Interval time.Duration
	Jobs     []Job
	// Rules are the paths of files with rules.
	Rules []string
}

// Job is a number of targets that are read in one way: what a ServiceMonitor or a PodMonitor is to Prometheus Operator.
type Job struct {
	Name    string
	Targets []Target
	// HonorLabels keeps the labels of the page where those of its target have the same names.
	HonorLabels bool
	// HTTPS is without a check of the certificate.
	HTTPS bool
	// Token is shown to the targets, unless it is empty.
	Token string
}

// Target is a page with metrics. Its path is /metrics.
type Target struct {
	Address string // host:port
	Labels  map[string]string
}

// Server is a Prometheus that runs.
type Server struct{ url string }

// patience is how long a Prometheus may take to start.
const patience = 30 * time.Second

// Start runs a Prometheus on the loopback until the test ends, and returns once it is ready. What it stores is in a folder of the test.
func Start(t testing.TB, config Config) *Server {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	write(t, file, config.document(t, dir))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()

	ctx, stop := context.WithCancel(context.Background())
	var log bytes.Buffer
	command := exec.CommandContext(ctx, filepath.Join(tools(t), "prometheus"),
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	command.Stdout, command.Stderr = &log, &log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", log.String())
		}
	})
	s := &Server{url: "http://" + address}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatal("Prometheus ended")
		default:
		}
		if _, err := s.get(t.Context(), "/-/ready", nil); err == nil {
			return s
		} else if time.Now().After(deadline) {
			t.Fatalf("Prometheus is not ready: %v", err)
		}
	}
}

// document is the configuration as Prometheus reads it: JSON is YAML.
func (c Config) document(t testing.TB, dir string) []byte {
	t.Helper()
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	interval := strconv.FormatInt(c.Interval.Milliseconds(), 10) + "ms"
	jobs := make([]map[string]any, 0, len(c.Jobs))
	for i, job := range c.Jobs {
		targets := make([]map[string]any, 0, len(job.Targets))
		for _, target := range job.Targets {
			targets = append(targets, map[string]any{"targets": []string{target.Address}, "labels": target.Labels})
		}
		config := map[string]any{"job_name": job.Name, "honor_labels": job.HonorLabels, "static_configs": targets}
		if job.HTTPS {
			config["scheme"], config["tls_config"] = "https", map[string]any{"insecure_skip_verify": true}
		}
		if job.Token != "" {
			token := filepath.Join(dir, "token-"+strconv.Itoa(i))
			write(t, token, []byte(job.Token))
			config["authorization"] = map[string]any{"credentials_file": token}
		}
		jobs = append(jobs, config)
	}
	rules := make([]string, 0, len(c.Rules))
	for _, rule := range c.Rules {
		path, err := filepath.Abs(rule)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, path)
	}
	document, err := json.Marshal(map[string]any{
		"global":     map[string]any{"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
		"rule_files": rules, "scrape_configs": jobs,
	})
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// write stores what none but the test may read.
func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// AwaitTargets waits until every target was read, and fails with what stands against it otherwise.
func (s *Server) AwaitTargets(t testing.TB, patience time.Duration) {
	t.Helper()
	var down []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if down = s.down(t); len(down) == 0 {
			return
		}
	}
	t.Fatalf("after %v Prometheus cannot read:\n%s", patience, strings.Join(down, "\n"))
}

func (s *Server) down(t testing.TB) (down []string) {
	t.Helper()
	var found struct {
		ActiveTargets []struct{ ScrapeURL, Health, LastError string }
	}
	s.ask(t, "/api/v1/targets", url.Values{"state": {"active"}}, &found)
	if len(found.ActiveTargets) == 0 {
		return []string{"there is no target yet"}
	}
	for _, target := range found.ActiveTargets {
		if target.Health != "up" {
			down = append(down, fmt.Sprintf("%s: %s %s", target.ScrapeURL, target.Health, target.LastError))
		}
	}
	return down
}

// Series is one of the answers to a query. What is asked for one moment has one point.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a value at a time.
type Point struct {
	At    time.Time
	Value float64
}

// Query evaluates an expression whose answer is a vector, as of now.
func (s *Server) Query(t testing.TB, expression string) []Series {
	t.Helper()
	var found struct {
		ResultType string
		Result     json.RawMessage
	}
	s.ask(t, "/api/v1/query", url.Values{"query": {expression}}, &found)
	if found.ResultType != "vector" {
		t.Fatalf("%s is a %s", expression, found.ResultType)
	}
	var result []struct {
		Metric map[string]string
		Value  sample
	}
	if err := json.Unmarshal(found.Result, &result); err != nil {
		t.Fatal(err)
	}
	all := make([]Series, len(result))
	for i, series := range result {
		all[i] = Series{Labels: series.Metric, Points: []Point{Point(series.Value)}}
	}
	return all
}

// Range evaluates an expression from one time to another, as a picture shows it.
func (s *Server) Range(t testing.TB, expression string, from, to time.Time, step time.Duration) []Series {
	t.Helper()
	var found struct {
		Result []struct {
			Metric map[string]string
			Values []sample
		}
	}
	seconds := func(d float64) string { return strconv.FormatFloat(d, 'f', 3, 64) }
	s.ask(t, "/api/v1/query_range", url.Values{
		"query": {expression}, "start": {seconds(float64(from.UnixMilli()) / 1000)}, "end": {seconds(float64(to.UnixMilli()) / 1000)}, "step": {seconds(step.Seconds())},
	}, &found)
	all := make([]Series, len(found.Result))
	for i, series := range found.Result {
		all[i].Labels = series.Metric
		for _, value := range series.Values {
			all[i].Points = append(all[i].Points, Point(value))
		}
	}
	return all
}

// sample is a Point as Prometheus writes it: [1700000000.5, "1"].
type sample Point

func (s *sample) UnmarshalJSON(text []byte) error {
	var at float64
	var value string
	if err := json.Unmarshal(text, &[]any{&at, &value}); err != nil {
		return err
	}
	s.At = time.UnixMilli(int64(at * 1000))
	var err error
	s.Value, err = strconv.ParseFloat(value, 64)
	return err
}

// ask reads the data of an answer.
func (s *Server) ask(t testing.TB, path string, parameters url.Values, into any) {
	t.Helper()
	body, err := s.get(t.Context(), path, parameters)
	if err != nil {
		t.Fatalf("%s: %v", parameters.Get("query"), err)
	}
	answer := struct{ Data any }{into}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func (s *Server) get(ctx context.Context, path string, parameters url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path+"?"+parameters.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.500s", response.StatusCode, body)
	}
	return body, err
}
