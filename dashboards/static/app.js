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
    tickfont: { size: 11 }, exponentformat: "e", ...given, title: { standoff: 8, font: { size: 12 }, ...(given && given.title) },
  });

  const draw = (figure) => {
    const spec = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const target = figure.querySelector(".plot");
    if (figure.dataset.rows) target.style.height = `${110 + 22 * Number(figure.dataset.rows)}px`;
    const colours = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"].map(colour);
    for (const trace of spec.data) {
      for (const part of [trace.line, trace.marker]) {
        if (part && typeof part.color === "string" && part.color.startsWith("--")) part.color = colour(part.color);
      }
      if (trace.line && trace.line.dash) trace.line = { color: colour("--idle"), width: 1.3, ...trace.line };
    }
    const layout = {
      ...spec.layout, xaxis: axis(spec.layout.xaxis), yaxis: axis(spec.layout.yaxis), colorway: colours,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("--ink"), size: 12 },
      margin: { l: 50, r: 12, t: 8, b: 40 }, showlegend: spec.data.length > 1,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--idle"), activecolor: colour("--ink") },
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    };
    window.Plotly.newPlot(target, spec.data, layout, {
      responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "", topojsonURL: "",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
    // A point that carries an address of ours leads there.
    target.removeAllListeners?.("plotly_click");
    target.on("plotly_click", (event) => {
      const link = event.points[0]?.customdata;
      if (typeof link === "string" && link.startsWith("/run?")) location.assign(link);
    });
  };

  // In an exported file plotly lies gzipped and in base64.
  const unpacked = async () => {
    const packed = document.getElementById("plotly-packed");
    if (!packed || window.Plotly) return;
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
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

  // What a chart shows, trace by trace, made when it is asked for.
  const numbers = (details) => {
    if (!details.open || details.querySelector("table")) return;
    const spec = JSON.parse(details.parentElement.querySelector('script[type="application/json"]').textContent);
    // Names were escaped for plotly, which reads a little HTML.
    const text = (value) => String(value).replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
    const title = (axis) => text(spec.layout[axis]?.title?.text || "");
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of ["Line", title("xaxis") || "x", title("yaxis") || "y"]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const trace of spec.data) {
      trace.x.forEach((x, i) => {
        const row = body.insertRow();
        for (const value of [text(trace.name || ""), x, trace.y[i]]) {
          const cell = row.insertCell();
          if (typeof value === "number") cell.className = "num";
          cell.textContent = typeof value === "number" ? String(value) : text(value ?? "–");
        }
      });
    }
    const box = document.createElement("div");
    box.className = "scroll short";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", details.textContent.trim());
    box.append(table);
    details.append(box);
  };

  // Changes `old` into `fresh` where they differ, so that scrolling, selection and focus stay where nothing changed.
  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value: text } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== text) old.setAttribute(name, text);
    }
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((child, i) => { if (before[i]) morph(before[i], child); else old.append(child); });
    before.slice(after.length).forEach((child) => child.remove());
  };

  const silent = (since) => {
    let box = document.getElementById("silent");
    if (!since) { box?.remove(); return; }
    if (!box) {
      box = document.createElement("p");
      box.id = "silent";
      box.className = "notes";
      box.setAttribute("role", "status");
      document.getElementById("live").before(box);
    }
    const text = `The dashboard does not answer. What is shown is the state of ${since.toLocaleTimeString()}.`;
    if (box.textContent !== text) box.textContent = text;
  };

  let answered = new Date();
  const follow = () => {
    const part = document.getElementById("live");
    if (!part || !part.dataset.live || location.protocol === "file:") return;
    setTimeout(async () => {
      try {
        if (!document.hidden) {
          const answer = await fetch(part.dataset.live);
          if (answer.ok) {
            const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
            answered = new Date();
            silent(null);
            if (!fresh.dataset.live) { location.reload(); return; }
            morph(part, document.importNode(fresh, true));
          } else silent(answered);
        }
      } catch { silent(answered); }  // asking goes on until it is back
      follow();
    }, 1000);
  };

  // "3 min ago" as the server writes it, kept true while the page stays open.
  const duration = (s) => {
    if (s < 60) return `${Math.round(s)} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    return s < 86400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
  };
  const ages = () => {
    for (const time of document.querySelectorAll("time.ago")) {
      const passed = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000);
      const text = passed < 10 ? "just now" : `${duration(passed)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  };

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("input.filter").forEach(filterable);
  // What is wider than the page can be scrolled from the keyboard too.
  const scrollers = () => {
    for (const box of document.querySelectorAll(".scroll:not([aria-label])")) {
      if (box.scrollWidth > box.clientWidth) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", box.querySelector("table")?.id || "table");
      }
    }
  };
  scrollers();
  addEventListener("resize", scrollers);
  document.querySelectorAll(".graph-box").forEach((box) => {
    const centre = box.querySelector(".box.centre");
    if (!centre || box.scrollWidth <= box.clientWidth) return;
    const [inner, outer] = [centre.getBoundingClientRect(), box.getBoundingClientRect()];
    box.scrollLeft = inner.left - outer.left - (outer.width - inner.width) / 2;
  });
  document.querySelectorAll("details.numbers").forEach((d) => d.addEventListener("toggle", () => numbers(d)));
  unpacked().then(charts).catch(() => {
    for (const plot of document.querySelectorAll(".plot")) {
      plot.textContent = "This browser cannot unpack the charts of the file; the tables below them have the numbers.";
    }
  });
  follow();
  if (location.protocol !== "file:") setInterval(ages, 5000);
})();
