"""Which plots are drawn of what was measured; svg.py draws them."""
import lineup
import loads
import svg
import tables


def label(cell):
    return "%s %s, %s" % (cell.test.upper(), cell.load, tables.size_text(cell.value_bytes))


def ratio_bars(folder, name, title, of, others, results, cells, column="ops"):
    others = [other for other in others if any((cell, other) in results and (cell, of) in results for cell in cells)]
    groups = [(label(cell), [tables.ratio(results, cell, of, other, column) for other in others]) for cell in cells]
    groups = [(text, values) for text, values in groups if any(v is not None for v in values)]
    if groups:
        svg.ratio_bars(folder, name, title, "from the dashed line, where both are the same; logarithmic", groups, ["/ " + lineup.name_of(other) for other in others])


def latency_lines(folder, results, cells, kinds, test, size, column, name):
    """One line for each system: a point for each load, from few clients to many."""
    loads_of = [cell for cell in cells if cell.test == test and cell.value_bytes == size]
    loads_of.sort(key=lambda cell: (loads.parse_load(cell.load)[1], loads.parse_load(cell.load)[0]))
    if len(loads_of) < 3:
        return
    series = [(lineup.name_of(kind), [(tables.middle(results, cell, kind, "ops"), tables.middle(results, cell, kind, column), cell.load)
                                      for cell in loads_of if (cell, kind) in results]) for kind in kinds]
    svg.lines(folder, "latency-%s-%s" % (test, column.replace("_ms", "")), "%s: %s against throughput" % (test.upper(), name),
              "values of %s; points are loads: cN is N clients, pN is 50 clients with N commands in flight" % tables.size_text(size),
              series, "operations/s", name + ", ms")


def throughput(folder, results, cells, kinds):
    for of in ("ours", "ours3"):
        others = [b for a, b in lineup.ratios(kinds) if a == of]
        ratio_bars(folder, "throughput-" + of, "Operations/s of %s, as a multiple" % lineup.name_of(of), of, others, results, cells)
        ratio_bars(folder, "cpu-" + of, "CPU time per operation of %s, as a multiple; less is better" % lineup.name_of(of), of, others,
                   results, cells, "cpu_us")
    for test in dict.fromkeys(cell.test for cell in cells):
        for column, name in (("p50_ms", "median latency"), ("p999_ms", "latency of 999 in 1000")):
            latency_lines(folder, results, cells, kinds, test, cells[0].value_bytes, column, name)
    print("\nplots in %s" % folder)
