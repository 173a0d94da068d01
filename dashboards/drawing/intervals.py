"""The chart of an A/B test: the difference over time with the interval that holds at every look."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards.drawing.charts import Chart
from dashboards.drawing.words import when

Look = tuple[float, int, float | None, float | None, float | None]


def over_time(looks: Sequence[Look], name: str) -> Chart:
    """`looks`: (seconds since 1970, users counted, difference, low, high), oldest first.

    The ends of the first intervals, which hold almost nothing out, are cut at four times what is known at the end.
    """
    known = [look for look in looks if None not in look]
    if not known:
        return {}
    last = known[-1]
    reach = 4 * max(abs(last[3] or 0), abs(last[4] or 0), ((last[4] or 0) - (last[3] or 0)) / 2, 1e-12)

    def within(value: float | None) -> float:
        return min(max(value or 0.0, -reach), reach)

    x = [when(at) for at, *_ in known]
    users = [f"{n:,} users" for _, n, *_ in known]
    shape = {"type": "scatter", "mode": "lines", "x": x, "text": users}
    hover = "%{y:.4g}, %{text}<extra></extra>"
    edge = {"color": "--c2", "width": 1}
    data = [
        {**shape, "name": "low", "y": [within(look[3]) for look in known], "line": edge, "hovertemplate": hover},
        {**shape, "name": "high", "y": [within(look[4]) for look in known], "line": dict(edge), "fill": "tonexty",
         "hovertemplate": hover},
        {**shape, "name": "difference", "y": [within(look[2]) for look in known],
         "line": {"color": "--c1", "width": 2}, "hovertemplate": hover},
        {"type": "scatter", "mode": "lines", "name": "no difference", "x": [x[0], x[-1]], "y": [0, 0],
         "line": {"dash": "dash"}},
    ]  # fmt: skip
    layout = {"xaxis": {"title": {"text": ""}, "type": "date"}, "yaxis": {"title": {"text": name}}}
    return {"data": data, "layout": layout}
