// Tables that sort and filter, charts in the page's colours, and a run that moves. No library but plotly.
(() => {
  "use strict";

  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    const text = cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
    const number = Number(text);
    return text !== "" && Number.isFinite(number) ? number : text.toLowerCase();
  };

  // Empty cells stay at the end whichever way the column is sorted.
  const compare = (a, b, sign) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b));
  };

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.classList.contains("plain") || !head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.scope = "col";
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending" ||
          (!head.hasAttribute("aria-sort") && head.classList.contains("num"));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort((x, y) => compare(x[0], y[0], down ? -1 : 1));
        body.append(...rows.map((pair) => pair[1]));
      });
    });
  };

  const filterable = (input) => {
    const table = document.getElementById(input.dataset.table);
    if (!table) return;
    const key = `filter ${input.dataset.table}`;
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    };
    const here = new URLSearchParams(location.hash.slice(1));
    if (here.has(key)) { input.value = here.get(key); apply(); }
    input.addEventListener("input", () => {
      apply();
      // The filter is part of the address, so that it can be shared.
      const now = new URLSearchParams(location.hash.slice(1));
      if (input.value) now.set(key, input.value); else now.delete(key);
      history.replaceState(null, "", location.pathname + location.search + (String(now) ? `#${now}` : ""));
    });
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const axis = (given) => ({
    automargin: true, gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"),
    tickfont: { size: 11 }, ...given, title: { standoff: 8, font: { size: 12 }, ...(given && given.title) },
  });

  const draw = (figure) => {
    const spec = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const target = figure.querySelector(".plot");
    if (figure.dataset.rows) target.style.height = `${110 + 22 * Number(figure.dataset.rows)}px`;
    const colours = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"].map(colour);
    for (const trace of spec.data) {
      if (trace.colorscale === "viaduct") {
        trace.colorscale = [[0, colour("--panel")], [0.05, colour("--accent-soft")], [1, colour("--c1")]];
        trace.xgap = trace.ygap = 1;
      }
      if (trace.line && trace.line.dash) trace.line = { color: colour("--idle"), width: 1.3, ...trace.line };
    }
    const layout = {
      ...spec.layout, xaxis: axis(spec.layout.xaxis), yaxis: axis(spec.layout.yaxis), colorway: colours,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("--ink"), size: 12 },
      margin: { l: 50, r: 12, t: 8, b: 40 }, showlegend: spec.data.length > 1,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    };
    window.Plotly.newPlot(target, spec.data, layout, {
      responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  };

  const charts = () => {
    const figures = document.querySelectorAll('figure.chart > script[type="application/json"]');
    if (!figures.length || !window.Plotly) return;
    // A chart is drawn when it comes into sight: a page may hold dozens.
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) { watcher.unobserve(entry.target); draw(entry.target); }
      }
    }, { rootMargin: "400px" });
    figures.forEach((script) => watcher.observe(script.parentElement));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      figures.forEach((script) => { if (script.parentElement.querySelector(".js-plotly-plot")) draw(script.parentElement); });
    });
  };

  const follow = () => {
    const part = document.getElementById("live");
    if (!part || !part.dataset.live || location.protocol === "file:") return;
    setTimeout(async () => {
      try {
        if (!document.hidden) {
          const answer = await fetch(part.dataset.live);
          if (answer.ok) {
            const held = document.activeElement && part.contains(document.activeElement)
              ? document.activeElement.getAttribute("href") : null;
            part.outerHTML = await answer.text();
            const fresh = document.getElementById("live");
            if (held) fresh.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus();
            if (!fresh.dataset.live) { location.reload(); return; }
          }
        }
      } catch { /* the dashboard went away; asking goes on until it is back */ }
      follow();
    }, 1000);
  };

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("input.filter").forEach(filterable);
  document.querySelectorAll(".graph-box").forEach((box) => {
    const centre = box.querySelector(".box.centre");
    if (!centre || box.scrollWidth <= box.clientWidth) return;
    const [inner, outer] = [centre.getBoundingClientRect(), box.getBoundingClientRect()];
    box.scrollLeft = inner.left - outer.left - (outer.width - inner.width) / 2;
  });
  charts();
  follow();
})();
