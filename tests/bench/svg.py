"""A small writer of plots as SVG: bars of ratios in groups, and lines. No dependency. Text and axes take the reader's colours: light and dark
are in the file, and where nothing says which, light holds."""
import math
import os
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 64, 20, 64, 56
# Told apart also by who sees colours differently, and on white as on black.
COLOURS = ("#3b7dd8", "#e07b39", "#2a9d6f", "#c2509b", "#8a7a1f", "#7a6ff0", "#d04545", "#5f8a99")
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; } .small { font-size: 11px; } .quiet { fill: #57606a; }
.axis { stroke: #8c959f; } .grid { stroke: #d0d7de; stroke-width: 0.6; } .one { stroke: #24292f; stroke-dasharray: 4 3; }
.paper { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .quiet { fill: #9da7b3; } .axis { stroke: #6e7681; } .grid { stroke: #30363d; } .one { stroke: #e6edf3; }
  .paper { fill: #0d1117; }
}
"""


def nice(value):
    """A short number."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return "%gk" % round(value / 1000, 1) if value < 1e6 else "%gM" % round(value / 1e6, 2)
    return "%g" % float("%.3g" % value)


def linear_ticks(most):
    step = 10 ** math.floor(math.log10(most / 4)) if most > 0 else 1
    step *= next(m for m in (1, 2, 5, 10) if most / (step * m) <= 6)
    return [i * step for i in range(int(most / step) + 1)]


def log_ticks(least, most):
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0 ** d for d in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1) for m in steps
                 if least <= m * 10.0 ** d <= most]
        if len(ticks) <= 9:
            break
    return ticks


class Scale:
    """Values to places; logarithmic when asked."""

    def __init__(self, least, most, at_least, at_most, log=False):
        self.log = log
        if log:
            self.low, self.high = math.log10(least) - 0.05, math.log10(most) + 0.05
            self.ticks = log_ticks(10 ** self.low, 10 ** self.high)
        else:
            self.low, self.high = 0, most * 1.05 or 1
            self.ticks = linear_ticks(self.high)
        self.from_, self.to = at_least, at_most

    def __call__(self, value):
        value = math.log10(max(value, 10.0 ** self.low)) if self.log else value
        return self.from_ + (self.to - self.from_) * (value - self.low) / (self.high - self.low)


class Plot:
    def __init__(self, title, subtitle, height):
        self.height = height
        self.parts = ['<rect class="paper" width="100%" height="100%"/>']
        self.text(16, 24, title, "title")
        self.text(16, 42, subtitle, "small quiet")

    def text(self, x, y, words, style="", anchor="start"):
        self.parts.append('<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>' % (x, y, style, anchor, escape(str(words))))

    def line(self, x1, y1, x2, y2, style):
        self.parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>' % (x1, y1, x2, y2, style))

    def legend(self, names, x, y):
        for i, name in enumerate(names):
            self.parts.append('<rect x="%.1f" y="%.1f" width="11" height="11" fill="%s"/>' % (x, y - 10, COLOURS[i % len(COLOURS)]))
            self.text(x + 16, y, name, "small")
            x += 30 + 6.2 * len(name)

    def save(self, folder, name):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8") as f:
            f.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">\n<style>%s</style>\n'
                    '%s\n</svg>\n' % (WIDTH, self.height, WIDTH, self.height, STYLE, "\n".join(self.parts)))


def ratio_bars(folder, name, title, subtitle, groups, series):
    """Lying bars of ratios, logarithmic: from 1, where both are equal, to the right or the left. `groups` are [(label, [a value or
    None for each of `series`])]."""
    bar, gap = 13, 12
    left = 24 + max(7 * len(label) for label, _ in groups)
    heights = [max(1, len([v for v in values if v is not None])) * bar + gap for _, values in groups]
    plot = Plot(title, subtitle, TOP + 24 + sum(heights) + BOTTOM)
    everything = [v for _, values in groups for v in values if v is not None]
    x = Scale(min([*everything, 0.7]), max([*everything, 1.4]), left + 44, WIDTH - 60, True)
    bottom = TOP + 24 + sum(heights)
    plot.legend(series, left, TOP + 4)
    for tick in x.ticks:
        plot.line(x(tick), TOP + 16, x(tick), bottom, "grid")
        plot.text(x(tick), bottom + 16, nice(tick), "small quiet", "middle")
    y = TOP + 24
    for (label, values), height in zip(groups, heights):
        plot.text(left - 8, y + (height - gap) / 2 + 4, label, "small", "end")
        at = y
        for i, value in enumerate(values):
            if value is None:
                continue
            plot.parts.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>' %
                              (min(x(1), x(value)), at, max(1, abs(x(value) - x(1))), bar - 2, COLOURS[i % len(COLOURS)]))
            plot.text(x(value) + (4 if value >= 1 else -4), at + bar - 3, "%.2f" % value, "small", "start" if value >= 1 else "end")
            at += bar
        y += height
    plot.line(x(1), TOP + 16, x(1), bottom, "one")
    plot.save(folder, name)


def lines(folder, name, title, subtitle, series, x_name, y_name, log_x=True, log_y=True):
    """`series` are [(name, [(x, y, what stands at the point or "")])]; points in order."""
    series = [(label, [p for p in points if p[1] is not None and (p[0] > 0 or not log_x)]) for label, points in series]
    series = [(label, points) for label, points in series if points]
    if not series:
        return
    everything = [p for _, points in series for p in points]
    plot = Plot(title, subtitle, 420)
    x = Scale(min(p[0] for p in everything), max(p[0] for p in everything), LEFT, WIDTH - RIGHT - 30, log_x)
    y = Scale(max(1e-6, min(p[1] for p in everything)), max(p[1] for p in everything), 420 - BOTTOM, TOP + 24, log_y)
    plot.legend([label for label, _ in series], LEFT, TOP + 4)
    for tick in x.ticks:
        plot.line(x(tick), TOP + 24, x(tick), 420 - BOTTOM, "grid")
        plot.text(x(tick), 420 - BOTTOM + 16, nice(tick), "small quiet", "middle")
    for tick in y.ticks:
        plot.line(LEFT, y(tick), WIDTH - RIGHT - 30, y(tick), "grid")
        plot.text(LEFT - 6, y(tick) + 4, nice(tick), "small quiet", "end")
    plot.text((LEFT + WIDTH - RIGHT - 30) / 2, 420 - 18, x_name, "small", "middle")
    plot.text(WIDTH - RIGHT, 24, y_name, "small", "end")
    for i, (label, points) in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        plot.parts.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' %
                          (colour, " ".join("%.1f,%.1f" % (x(p[0]), y(p[1])) for p in points)))
        for px, py, what in points if len(points) <= 20 else ():
            plot.parts.append('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x(px), y(py), colour))
            if what:
                plot.text(x(px) + 5, y(py) - 5, what, "small quiet")
    plot.save(folder, name)
