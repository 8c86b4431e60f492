//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestParseStat reads lines as the kernel writes them. The numbers behind the name are the state, the parent, and from the 14th field on the ticks.
func TestParseStat(t *testing.T) {
	const rest = " S 7 1 1 0 -1 4194560 1 2 3 4 250 100 9 9 20 0 1 0 5"
	want := Stat{PID: 42, Parent: 7, User: 2500 * time.Millisecond, System: time.Second}
	for name, test := range map[string]struct {
		text    string
		want    Stat
		refused string
	}{
		"a program":                           {text: "42 (nginx)" + rest, want: want},
		"a name with a space":                 {text: "42 (nginx: worker)" + rest, want: want},
		"a name that looks like another line": {text: "42 (a) R 1 1 (b)" + rest, want: want},
		"a line that is cut off":              {text: "42 (nginx) S 7 1", refused: "too few fields"},
		"no pid":                              {text: "nginx (nginx)" + rest, refused: "no line"},
		"no name":                             {text: "42 nginx", refused: "no line"},
		"a parent that is no number":          {text: strings.Replace("42 (nginx)"+rest, "7", "x", 1), refused: "reading /proc/42/stat"},
		"nothing":                             {refused: "no line"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStat([]byte(test.text))
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Fatalf("error %v, want %q", err, test.refused)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("read otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDescendants(t *testing.T) {
	all := []Stat{{PID: 1}, {PID: 10, Parent: 1}, {PID: 11, Parent: 10}, {PID: 12, Parent: 11}, {PID: 20, Parent: 1}, {PID: 21, Parent: 20}}
	for name, test := range map[string]struct{ roots, want []int }{
		"children, and theirs":  {[]int{10}, []int{10, 11, 12}},
		"two programs":          {[]int{10, 20}, []int{10, 20, 11, 21, 12}},
		"one without children":  {[]int{21}, []int{21}},
		"no program, no result": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Descendants(all, test.roots...)); diff != "" {
				t.Errorf("other processes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseMemory(t *testing.T) {
	now, most, err := ParseMemory([]byte("Name:\tnginx\nVmPeak:\t 99 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n"))
	if now != 1<<20 || most != 2<<20 || err != nil {
		t.Errorf("%d and %d bytes, error %v; want 1 MiB and 2 MiB", now, most, err)
	}
	for name, text := range map[string]string{
		"a kernel thread, which has none": "Name:\tkworker\nThreads:\t1\n",
		"a part of it":                    "Name:\tnginx\nVmHWM:\t2048 kB\n",
		"another unit":                    "Name:\tnginx\nVmHWM:\t2048 kB\nVmRSS:\t1 MB\n",
		"no number":                       "Name:\tnginx\nVmHWM:\t2048 kB\nVmRSS:\tx kB\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := ParseMemory([]byte(text)); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestGroupCountsItsChildren starts a shell whose child works, and finds the work in what the group has cost.
func TestGroupCountsItsChildren(t *testing.T) {
	folder := t.TempDir()
	const script = `sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done >%s/ready; exec sleep 60' & wait`
	g, err := Start(t.Context(), 0, folder, Program{Path: "sh", Arguments: []string{"-c", fmt.Sprintf(script, folder)}, Environment: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(folder + "/ready"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the child does not get ready")
		}
	}
	if err := g.Find(); err != nil {
		t.Fatal(err)
	}
	if len(g.pids) != 2 || g.Ended() {
		t.Errorf("the processes are %v, want a shell and its child", g.pids)
	}
	all, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := usage(g.pids[:1])
	if err != nil {
		t.Fatal(err)
	}
	if all.CPU <= parent.CPU {
		t.Errorf("the group has cost %v, of which the parent %v: the child is not counted", all.CPU, parent.CPU)
	}
	if _, most, err := g.Memory(); err != nil || most == 0 {
		t.Errorf("the memory is %d, error %v", most, err)
	}
	if err := g.Stop(); err != nil || !g.Ended() {
		t.Errorf("it has not ended, error %v", err)
	}
	if _, err := g.Usage(); err == nil {
		t.Error("no error tells that the processes have ended")
	}
}
