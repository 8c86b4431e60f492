// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"strings"
)

// PeerTable returns a table for people, in Markdown, with a row for each peer: the CPU time of one request in µs, and its ratio to the base in
// parentheses. A dash is a column that the peer cannot do.
func (all Samples) PeerTable(base string) string {
	columns := all.Columns()
	rows := [][]string{append([]string{"CPU per request, µs (to " + base + ")"}, append(columns, "RSS peak, MiB")...)}
	for _, peer := range all.Peers() {
		row, peak := []string{peer}, int64(0)
		for _, column := range columns {
			row = append(row, all.cell(column, peer, base))
			for _, s := range all.of(column, peer) {
				peak = max(peak, s.Peak)
			}
		}
		rows = append(rows, append(row, mebi(peak)))
	}
	return markdown(rows)
}

// ColumnTable is the same with a row for each column.
func (all Samples) ColumnTable(base string) string {
	return all.tall("CPU per request, µs (to "+base+")", func(column, peer string) string { return all.cell(column, peer, base) })
}

// FloodTable is of columns with forged requests beside: the CPU time of one in µs and how much of a core they take in all, the slowest but one in a hundred of
// WeChat's own messages, and the most memory.
func (all Samples) FloodTable() string {
	return all.tall("CPU per forged one, µs · of a core · p99 · RSS peak, MiB", func(column, peer string) string {
		samples := all.of(column, peer)
		if len(samples) == 0 {
			return "–"
		}
		median := func(figure func(Sample) float64) float64 { return all.Figure(column, peer, figure).Median }
		cost, peak := "–", int64(0)
		if forged := median(func(s Sample) float64 { return float64(s.Forged) }); forged > 0 {
			cost = fmt.Sprintf("%.1f", median(Sample.Cost))
		}
		for _, s := range samples {
			peak = max(peak, s.Peak)
		}
		return fmt.Sprintf("%s · %.0f %% · %.0f ms · %s", cost, median(Sample.core), median(slowest), mebi(peak))
	})
}

func (all Samples) tall(head string, cell func(column, peer string) string) string {
	rows := [][]string{append([]string{head}, all.Peers()...)}
	for _, column := range all.Columns() {
		row := []string{column}
		for _, peer := range all.Peers() {
			row = append(row, cell(column, peer))
		}
		rows = append(rows, row)
	}
	return markdown(rows)
}

func (all Samples) cell(column, peer, base string) string {
	cost, ratio := all.Figure(column, peer, Sample.Cost), all.Ratio(column, peer, base)
	switch {
	case math.IsNaN(cost.Median):
		return "–"
	case math.IsNaN(ratio.Median):
		return fmt.Sprintf("%.1f", cost.Median)
	}
	return fmt.Sprintf("%.1f (%.2f)", cost.Median, ratio.Median)
}

func mebi(bytes int64) string { return fmt.Sprintf("%.0f", float64(bytes)/(1<<20)) }

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
