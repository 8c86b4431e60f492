// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Measures of the plots, in pixels.
const (
	panelWidth  = 310
	panelsAbove = 3 // beside each other
	barHeight   = 14
	labelWidth  = 116
	chartHeight = 180
)

// colours are of the lines; what is highlighted has the first.
var colours = []string{"#07a35a", "#4c6ef5", "#f08c00", "#ae3ec9", "#495057", "#e03131", "#0c8599"}

// drawing is an SVG under way.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, arguments ...any) { fmt.Fprintf(d, format+"\n", arguments...) }

func (d *drawing) text(x, y float64, anchor, text string) {
	d.add(`<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(text))
}

// finish puts the drawing into a document of that size.
func (d *drawing) finish(width, height int, title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="10" role="img">
<title>%s</title>
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`, width, height, html.EscapeString(title), d.String())
}

// panel begins a part of the drawing, the nth, and returns what ends it.
func (d *drawing) panel(n, height int, title string) (end func()) {
	d.add(`<g transform="translate(%d,%d)">`, 10+n%panelsAbove*panelWidth, n/panelsAbove*height)
	d.add(`<text x="0" y="16" font-size="12" font-weight="bold">%s</text>`, html.EscapeString(title))
	return func() { d.add("</g>") }
}

// Bars draws a panel for each column with a bar for each peer: the median of the CPU time of one request, and a line from the least to the greatest.
func (all Samples) Bars(highlighted string) string {
	d, peers, columns := &drawing{}, all.Peers(), all.Columns()
	height := 30 + barHeight*len(peers)
	for n, column := range columns {
		end := d.panel(n, height, column)
		longest := 0.0
		costs := map[string]Spread{}
		for _, peer := range peers {
			if costs[peer] = all.Figure(column, peer, Sample.Cost); !math.IsNaN(costs[peer].Greatest) {
				longest = max(longest, costs[peer].Greatest)
			}
		}
		scale := (panelWidth - labelWidth - 50) / max(longest, 1)
		for i, peer := range peers {
			y, cost := float64(24+barHeight*i), costs[peer]
			d.text(labelWidth-4, y+10, "end", peer)
			if math.IsNaN(cost.Median) {
				d.text(labelWidth+2, y+10, "start", "–")
				continue
			}
			colour := "#adb5bd"
			if strings.HasPrefix(peer, highlighted) {
				colour = colours[0]
			}
			d.add(`<rect x="%d" y="%.0f" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, cost.Median*scale, barHeight-3, colour)
			d.add(`<path d="M%.1f %.1fH%.1f" stroke="black"/>`, labelWidth+cost.Least*scale, y+5.5, labelWidth+cost.Greatest*scale)
			d.text(labelWidth+cost.Greatest*scale+4, y+10, "start", fmt.Sprintf("%.1f", cost.Median))
		}
		end()
	}
	rows := (len(columns) + panelsAbove - 1) / panelsAbove
	return d.finish(10+panelsAbove*panelWidth, rows*height+8, "CPU per request in µs, by column and peer")
}

// Growth draws a panel for each of what columns named WHAT-NUMBER have more of, with a line for each peer: the median of the CPU time of one request.
func (all Samples) Growth(highlighted string) string {
	d, series := &drawing{}, all.series()
	const height = chartHeight + 60
	peers := all.Peers()
	slices.SortStableFunc(peers, func(a, b string) int { // the first colour is for what is highlighted
		return strings.Compare(fmt.Sprint(a != highlighted), fmt.Sprint(b != highlighted))
	})
	for n, one := range series {
		end := d.panel(n, height, one.what)
		most := 1.0
		for _, peer := range peers {
			for _, number := range one.numbers {
				if cost := all.Figure(one.column(number), peer, Sample.Cost).Median; !math.IsNaN(cost) {
					most = max(most, cost)
				}
			}
		}
		const left, bottom = 40.0, chartHeight + 24.0
		step := (panelWidth - left - 30) / float64(max(1, len(one.numbers)-1))
		d.add(`<path d="M%.0f 24V%.0fH%d" stroke="#868e96" fill="none"/>`, left, bottom, panelWidth-20)
		d.text(left-4, 30, "end", fmt.Sprintf("%.0f", most))
		d.text(left-4, bottom, "end", "0 µs")
		for i, number := range one.numbers {
			d.text(left+float64(i)*step, bottom+13, "middle", strconv.Itoa(number))
		}
		for at, peer := range peers {
			colour := colours[at%len(colours)]
			var points []string
			for i, number := range one.numbers {
				if cost := all.Figure(one.column(number), peer, Sample.Cost).Median; !math.IsNaN(cost) {
					points = append(points, fmt.Sprintf("%.1f,%.1f", left+float64(i)*step, bottom-cost/most*(chartHeight-4)))
				}
			}
			if len(points) > 0 {
				d.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(points, " "), colour)
			}
		}
		end()
	}
	rows := (len(series) + panelsAbove - 1) / panelsAbove
	for i, peer := range peers {
		d.add(`<text x="%d" y="%d" fill="%s">%s</text>`, 20+130*i, rows*height+14, colours[i%len(colours)], html.EscapeString(peer))
	}
	return d.finish(max(10+panelsAbove*panelWidth, 20+130*len(peers)), rows*height+24, "CPU per request in µs, as something grows")
}

// series are the numbers of one WHAT.
type series struct {
	what    string
	numbers []int
}

func (s series) column(number int) string { return fmt.Sprint(s.what, "-", number) }

// series finds the columns that are named like that, in their order.
func (all Samples) series() []series {
	var found []series
	for _, column := range all.Columns() {
		at := strings.LastIndexByte(column, '-')
		number, err := strconv.Atoi(column[at+1:])
		if at < 0 || err != nil {
			continue
		}
		if n := len(found); n == 0 || found[n-1].what != column[:at] {
			found = append(found, series{what: column[:at]})
		}
		found[len(found)-1].numbers = append(found[len(found)-1].numbers, number)
	}
	return found
}
