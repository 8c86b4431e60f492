//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The picture: one panel for each measure, below each other. Pixels.
const (
	width, panel      = 760, 150
	left, right       = 60, 20
	top, bottom       = 34, 26
	background, ink   = "#ffffff", "#24292f"
	curve, trendColor = "#0969da", "#cf222e"
)

// plot draws the samples as SVG, with the line through the second half of each measure.
func plot(title string, samples []sample, trends []trend) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="%s">`+"\n",
		width, top+len(trends)*panel, ink)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="%s"/>`+"\n", background)
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14">%s</text>`+"\n", left, title)
	var end time.Duration
	if len(samples) > 0 {
		end = samples[len(samples)-1].at
	}
	for i, t := range trends {
		a := axes{y: top + i*panel, end: end, most: ceiling(t.most)}
		a.draw(&b, t)
		var points []string
		for _, s := range samples {
			points = append(points, a.point(s.at, s.values[i]))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s"/>`+"\n", strings.Join(points, " "), curve)
		fmt.Fprintf(&b, `<polyline points="%s %s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="6 4"/>`+"\n",
			a.point(t.line.begin, t.line.at), a.point(t.line.end, t.line.value(t.line.end)), trendColor)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axes are those of a panel.
type axes struct {
	y    int           // of its upper edge
	end  time.Duration // of the horizontal axis
	most float64       // of the vertical one, which begins at 0
}

// point is a place in the panel.
func (a axes) point(t time.Duration, value float64) string {
	x, y := float64(left), float64(a.y+panel-bottom)
	if a.end > 0 {
		x += t.Seconds() / a.end.Seconds() * (width - left - right)
	}
	return fmt.Sprintf("%.1f,%.1f", x, y-value/a.most*(panel-bottom-20))
}

// draw writes the axes, with their greatest values, and what the panel shows.
func (a axes) draw(b *strings.Builder, t trend) {
	floor := a.y + panel - bottom
	name := t.name
	if t.unit != "" {
		name += ", " + t.unit
	}
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", left, a.y+12, name)
	fmt.Fprintf(b, `<polyline points="%d,%d %d,%d %d,%d" fill="none" stroke="%s"/>`+"\n", left, a.y+20, left, floor, width-right, floor, ink)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%g</text>`+"\n", left-6, a.y+24, a.most)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">0</text>`+"\n", left-6, floor+4)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", width-right, floor+16, a.end.Round(time.Second))
}

// ceiling is a round number that is not less, for the end of an axis.
func ceiling(value float64) float64 {
	if value <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, step := range []float64{1, 2, 5} {
		if value <= step*power {
			return step * power
		}
	}
	return 10 * power
}
