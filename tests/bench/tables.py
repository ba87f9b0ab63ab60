"""Medians of the rounds as tables: one for each load, one of ratios over all of them, one of goals. `results` is
{(cell, system): rows of figures}."""
import statistics

import lineup
import loads

# Goals of three nodes: (test, load, of, least multiple, of whom).
GOALS = [
    ("set", "c50", "ours3", 5.0, "etcd"),
    ("set", "c50", "ours3", 0.7, "always"),
    ("set", "c50", "ours3", 0.6, "minirepl"),
    ("set", "p16", "ours3", 0.9, "always"),
    ("set", "c1", "ours3", 2.0, "etcd"),
    ("get", "c50", "ours3", 0.7, "lease"),
]
# Column, the figure it shows, what that is divided by, digits.
COLUMNS = (("p50 ms", "p50_ms", 1, 3), ("p99 ms", "p99_ms", 1, 3), ("p99.9 ms", "p999_ms", 1, 3), ("CPU us/op", "cpu_us", 1, 2),
           ("later us/op", "later_us", 1, 2), ("syncs/op", "syncs", 1, 4), ("us/sync", "sync_us", 1, 0),
           ("written B/op", "written", 1, 0), ("RSS MiB", "rss_mib", 1, 0))


def middle(results, cell, kind, column):
    rows = results.get((cell, kind))
    if not rows or rows[0][column] is None:
        return None
    return statistics.median(r[column] for r in rows)


def number(value, digits):
    return "-" if value is None else "%.*f" % (digits, value)


def ratio(results, cell, kind, other, column="ops"):
    ours, theirs = middle(results, cell, kind, column), middle(results, cell, other, column)
    return ours / theirs if ours and theirs else None


def head(*columns):
    return "| %s |\n|---|%s" % (" | ".join(columns), "--:|" * (len(columns) - 1))


def size_text(count):
    return "%d KiB" % (count // 1024) if count >= 1024 and count % 1024 == 0 else "%d B" % count


def title(cell):
    return "%s, %s of %s" % (cell.test.upper(), loads.describe(cell.load), size_text(cell.value_bytes))


def print_cell(results, cell, kinds):
    there = [kind for kind in kinds if (cell, kind) in results]
    others = [kind for kind in ("always", "none") if kind in there]
    print("\n%s\n" % title(cell))
    print(head("system", "kops/s", *("x " + other for other in others), *(column[0] for column in COLUMNS)))
    for kind in there:
        cells = [number(middle(results, cell, kind, "ops") / 1000, 1),
                 *(number(ratio(results, cell, kind, other), 2) for other in others),
                 *(number(middle(results, cell, kind, what), digits) for _, what, _, digits in COLUMNS)]
        print("| %s | %s |" % (lineup.name_of(kind), " | ".join(cells)), flush=True)


def print_summary(results, cells, kinds):
    """Thousand operations a second and in parentheses CPU microseconds per operation of everybody, and the ratios."""
    pairs = [pair for pair in lineup.ratios(kinds)]
    print("\nThousand operations/s (CPU us/op of all processes of the system), and ratios of operations/s\n")
    print(head("load", *kinds, *("%s / %s" % pair for pair in pairs)))
    for cell in cells:
        row = []
        for kind in kinds:
            ops = middle(results, cell, kind, "ops")
            row.append("-" if ops is None else "%.*f (%.*f)" % (1 if ops < 1e5 else 0, ops / 1000,
                                                              2 if middle(results, cell, kind, "cpu_us") < 10 else 0,
                                                              middle(results, cell, kind, "cpu_us")))
        row += [number(ratio(results, cell, *pair), 2) for pair in pairs]
        print("| %s %s, %s | %s |" % (cell.test.upper(), cell.load, size_text(cell.value_bytes), " | ".join(row)), flush=True)


def print_goals(results):
    """Those whose two sides were measured, with values of the size that was measured first."""
    lines = []
    for test, load, kind, least, other in GOALS:
        cell = next((cell for cell, _ in results if (cell.test, cell.load) == (test, load)), None)
        measured = cell and ratio(results, cell, kind, other)
        if measured is not None:
            lines.append("| %s %s, %s | %.1f x %s | %.2f | %s |" % (test.upper(), load, lineup.name_of(kind), least, lineup.name_of(other),
                                                                 measured, "yes" if measured >= least else "NO"))
    if lines:
        print("\n| goal | at least | measured | reached |\n|---|--:|--:|---|\n" + "\n".join(lines), flush=True)
