# The table, and the plot, of what scripts/compare.sh measured: load.csv (smache bench
# --csv without its header), memory.csv (name, entries wanted, held, resident bytes)
# and start.csv (name, microseconds). The variables: clients, and svg, a file.

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
    for (i = 1; i <= starters; i++) { l = begun[i]; printf "| %s | %.0f (%.0f .. %.0f) |\n", l, median(starts[l]), lowest(starts[l]), highest(starts[l]) }
  }
}

# plot writes bars of CPU per request with their spread, and of the throughput.
function plot(    i, l, y, most, fast, x, width) {
  for (i = 1; i <= rows; i++) { l = order[i]; if (highest(cpu[l]) > most) most = highest(cpu[l]); if (median(rate[l]) > fast) fast = median(rate[l]) }
  if (most <= 0) return
  width = 300
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 %d\" font-family=\"sans-serif\" font-size=\"13\">\n", 60 + rows * 26 > svg
  print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>" > svg
  print "<text x=\"200\" y=\"30\" font-weight=\"bold\">server CPU per request, µs</text>" > svg
  print "<text x=\"570\" y=\"30\" font-weight=\"bold\">requests a second, in thousands</text>" > svg
  for (i = 1; i <= rows; i++) {
    l = order[i]; y = 44 + (i - 1) * 26
    fill = l ~ /^smache/ ? "#1a6fb4" : (l ~ /^floor/ ? "#999999" : "#d9a441")
    printf "<text x=\"190\" y=\"%d\" text-anchor=\"end\">%s</text>\n", y + 14, l > svg
    x = median(cpu[l]) / most * width
    printf "<rect x=\"200\" y=\"%d\" width=\"%.1f\" height=\"18\" fill=\"%s\"/>\n", y, x, fill > svg
    printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"black\"/>\n", 200 + lowest(cpu[l]) / most * width, 200 + highest(cpu[l]) / most * width, y + 9, y + 9 > svg
    printf "<text x=\"%.1f\" y=\"%d\">%.1f</text>\n", 206 + highest(cpu[l]) / most * width, y + 14, median(cpu[l]) > svg
    printf "<rect x=\"570\" y=\"%d\" width=\"%.1f\" height=\"18\" fill=\"%s\"/>\n", y, median(rate[l]) / fast * 250, fill > svg
    printf "<text x=\"%.1f\" y=\"%d\">%.0f</text>\n", 576 + median(rate[l]) / fast * 250, y + 14, median(rate[l]) / 1000 > svg
  }
  print "</svg>" > svg
  close(svg)
}
