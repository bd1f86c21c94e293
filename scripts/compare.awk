# The table, and the plot, of what scripts/compare.sh measured: load.csv (smache bench
# --csv without its header), memory.csv (name, entries wanted, held, resident bytes)
# and start.csv (name, microseconds). The variables: clients; svg, a file; and labels, the
# order of the rows, with | between them (else that in which they come).

function sorted(list, values,    n, i, j, v) {
  n = split(list, values, " ")
  for (i = 2; i <= n; i++)
    for (j = i; j > 1 && values[j] + 0 < values[j - 1] + 0; j--) { v = values[j]; values[j] = values[j - 1]; values[j - 1] = v }
  return n
}
function median(list,    v, n) {
  n = sorted(list, v)
  return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function lowest(list,    v) { sorted(list, v); return v[1] }
function highest(list,    v) { return v[sorted(list, v)] }

FILENAME ~ /load.csv$/ {
  # The first two columns that hold commas are quoted: label and about.
  label = $0
  sub(/^"/, "", label); sub(/".*/, "", label)
  gsub(/"[^"]*"/, "q")
  split($0, f, ",")
  if (!(label in cpu)) order[++rows] = label
  rate[label] = rate[label] " " f[13]; p50[label] = p50[label] " " f[15]
  p99[label] = p99[label] " " f[19]; p999[label] = p999[label] " " f[20]
  cpu[label] = cpu[label] " " f[25]
  if (f[26] == "true") bound[label]++
}
FILENAME ~ /memory.csv$/ { split($0, f, ","); memories[++sizes] = sprintf("| %s | %d | %d | %.0f | %.0f |", f[1], f[2], f[3], f[4] / 1048576, f[4] / f[3]) }
FILENAME ~ /start.csv$/ { split($0, f, ","); if (!(f[1] in starts)) begun[++starters] = f[1]; starts[f[1]] = starts[f[1]] " " f[2] / 1000 }

END {
  arrange()
  if (rows) {
    print "| " clients " clients | CPU, µs (lowest .. highest) | of the floor | requests/s | p50, ms | p99 | p99.9 |"
    print "| --- | --- | --- | --- | --- | --- | --- |"
    floor = ("floor, GET" in cpu) ? median(cpu["floor, GET"]) : 0
    for (i = 1; i <= rows; i++) {
      l = order[i]
      printf "| %s | %.1f (%.1f .. %.1f) | %s | %.0f%s | %.1f | %.1f | %.1f |\n", l, median(cpu[l]), lowest(cpu[l]), highest(cpu[l]),
        floor ? sprintf("%.2f", median(cpu[l]) / floor) : "–", median(rate[l]), bound[l] ? " *" : "", median(p50[l]), median(p99[l]), median(p999[l])
      if (bound[l]) stars = 1
    }
    if (stars) print "\n\\* in some rounds the generator was the bottleneck: a faster server would not show."
    plot()
  }
  if (sizes) {
    print "\n| | entries wanted | held | resident, MiB | bytes for each |\n| --- | --- | --- | --- | --- |"
    for (i = 1; i <= sizes; i++) print memories[i]
  }
  if (starters) {
    print "\n| start | ms (lowest .. highest) |\n| --- | --- |"
    fflush()
    sort = "sort -t '|' -k 3,3n"
    for (i = 1; i <= starters; i++) {
      l = begun[i]
      printf "| %s | %.0f (%.0f .. %.0f) |\n", l, median(starts[l]), lowest(starts[l]), highest(starts[l]) | sort
    }
    close(sort)
  }
}

# arrange puts the rows into the order of labels.
function arrange(    wanted, i, n, l, at, taken) {
  n = split(labels, wanted, "|")
  for (i = 1; i <= rows; i++) wanted[n + i] = order[i]
  for (i = 1; i <= n + rows; i++) {
    l = wanted[i]
    if (l in cpu && !(l in taken)) { taken[l]; order[++at] = l }
  }
}

# plot writes bars of CPU per request with their spread, of the throughput and of p99,
# readable on light and on dark ground.
function plot(    i, l, y, x, end, most, fast, slow, width, high) {
  for (i = 1; i <= rows; i++) {
    l = order[i]
    if (highest(cpu[l]) > most) most = highest(cpu[l])
    if (highest(rate[l]) > fast) fast = highest(rate[l])
    if (highest(p99[l]) > slow) slow = highest(p99[l])
  }
  if (most <= 0) return
  high = 84 + rows * 24
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 %d\" role=\"img\" aria-label=\"CPU per request, throughput and p99 of %d servers and operations\">\n", high, rows > svg
  print "<style>" > svg
  print "svg { --back: #fff; --text: #1b1f24; --soft: #5d6673; --mine: #1f6feb; --other: #d39b3c; --floor: #9aa3af; }" > svg
  print "@media (prefers-color-scheme: dark) { svg { --back: #14171c; --text: #e6e9ee; --soft: #98a2b0; --mine: #6ea8ff; --other: #c98f3a; --floor: #6b7481; } }" > svg
  print "text { fill: var(--text); font: 13px system-ui, sans-serif; } .title { font-weight: 600; } .soft { fill: var(--soft); font-size: 12px; }" > svg
  print ".back { fill: var(--back); } .mine { fill: var(--mine); } .other { fill: var(--other); } .floor { fill: var(--floor); } line { stroke: var(--text); stroke-width: 1.5; }" > svg
  print "</style>" > svg
  print "<rect class=\"back\" width=\"100%\" height=\"100%\"/>" > svg
  printf "<text class=\"title\" x=\"190\" y=\"26\">server CPU per request, µs</text><text class=\"title\" x=\"490\" y=\"26\">thousand requests a second</text><text class=\"title\" x=\"740\" y=\"26\">p99, ms</text>\n" > svg
  for (i = 1; i <= rows; i++) {
    l = order[i]; y = 40 + (i - 1) * 24
    kind = l ~ /^smache/ ? "mine" : (l ~ /^floor/ ? "floor" : "other")
    printf "<text x=\"180\" y=\"%d\" text-anchor=\"end\">%s</text>\n", y + 14, l > svg
    bar(190, y, 220, cpu[l], most, 1, kind, "")
    bar(490, y, 170, rate[l], fast, 1000, kind, bound[l] ? " *" : "")
    bar(740, y, 150, p99[l], slow, 1, kind, "")
  }
  printf "<text class=\"soft\" x=\"190\" y=\"%d\">%d clients, %d rounds: medians; the lines reach from the lowest to the highest round%s</text>\n", high - 14, clients, sorted(cpu[order[1]], v), stars ? "; * the generator was the limit" : "" > svg
  print "</svg>" > svg
  close(svg)
}

# bar draws one, with its spread and its median, divided by unit, behind it.
function bar(x, y, width, list, most, unit, kind, more,    m, end) {
  m = median(list)
  end = x + highest(list) / most * width
  printf "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"16\" rx=\"2\"/>", kind, x, y + 1, m / most * width > svg
  printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x + lowest(list) / most * width, end, y + 9, y + 9 > svg
  printf "<text x=\"%.1f\" y=\"%d\">%s%s</text>\n", end + 5, y + 14, unit == 1000 ? sprintf("%.0f", m / unit) : sprintf("%.1f", m), more > svg
}
