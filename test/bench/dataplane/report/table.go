// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"strings"
)

// Table is for people, in Markdown: the CPU time of one request in µs, and its ratio to the base in parentheses. A dash is a column that the peer cannot
// do.
func (all Samples) Table(base string) string {
	columns := all.Columns()
	rows := [][]string{append([]string{"CPU per request, µs (to " + base + ")"}, append(columns, "RSS peak, MiB")...)}
	for _, peer := range all.Peers() {
		row, peak := []string{peer}, int64(0)
		for _, column := range columns {
			cost := all.Figure(column, peer, Sample.Cost)
			ratio := all.Ratio(column, peer, base)
			switch {
			case math.IsNaN(cost.Median):
				row = append(row, "–")
			case math.IsNaN(ratio.Median):
				row = append(row, fmt.Sprintf("%.1f", cost.Median))
			default:
				row = append(row, fmt.Sprintf("%.1f (%.2f)", cost.Median, ratio.Median))
			}
			for _, s := range all.of(column, peer) {
				peak = max(peak, s.Peak)
			}
		}
		rows = append(rows, append(row, fmt.Sprintf("%.0f", float64(peak)/(1<<20))))
	}
	return markdown(rows)
}

// markdown writes rows, of which the first is the head, with columns of even width.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	write := func(row []string) {
		for i, cell := range row {
			b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-len([]rune(cell))) + " ")
		}
		b.WriteString("|\n")
	}
	write(rows[0])
	for _, width := range widths {
		b.WriteString("|" + strings.Repeat("-", width+2))
	}
	b.WriteString("|\n")
	for _, row := range rows[1:] {
		write(row)
	}
	return b.String()
}
