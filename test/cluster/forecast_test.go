package main

import (
	"testing"
	"time"
)

func TestForecast(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		forecast forecast
		want     string
	}{
		"nothing to build":                            {forecast{}, ""},
		"all is built":                                {forecast{done: time.Minute, took: time.Minute}, ""},
		"before anything is built":                    {forecast{left: 5 * time.Minute}, ", about 5 minutes until all is built"},
		"a machine that took twice as long until now": {forecast{left: 5 * time.Minute, done: time.Minute, took: 2 * time.Minute}, ", about 10 minutes until all is built"},
		"a machine that was three times as fast":      {forecast{left: 6 * time.Minute, done: 3 * time.Minute, took: time.Minute}, ", about 2 minutes until all is built"},
		"a part under way":                            {forecast{left: 5 * time.Minute, under: 4 * time.Minute, began: now.Add(-2 * time.Minute)}, ", about 3 minutes until all is built"},
		"a part that takes longer than expected":      {forecast{left: 3 * time.Minute, under: time.Minute, began: now.Add(-2 * time.Minute)}, ", about 4 minutes until all is built"},
		"the last part, when its time is over":        {forecast{left: time.Minute, under: time.Minute, began: now.Add(-2 * time.Minute)}, ", less than a minute until all is built"},
		"a rest of a minute":                          {forecast{left: 70 * time.Second}, ", about a minute until all is built"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.forecast.text(now); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestForecastLearns(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := forecast{left: 10 * time.Minute}
	f.begin(2*time.Minute, now)
	f.end(now.Add(time.Minute))
	if got, want := f.remaining(now.Add(time.Hour)), 4*time.Minute; got != want {
		t.Errorf("after a fifth of the work took a minute, %s remain, want %s", got, want)
	}
}
