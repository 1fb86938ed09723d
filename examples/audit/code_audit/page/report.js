"use strict";
// Draws the figures in the colours of the page, and again when the reader's theme changes.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const token = /^var\((--[\w-]+)\)$/;

  const paint = (value, style) => {
    if (typeof value === "string") {
      const match = token.exec(value);
      return match ? style.getPropertyValue(match[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => paint(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, paint(item, style)]));
  };

  const axis = {
    gridcolor: "var(--grid)", linecolor: "var(--line)", zerolinecolor: "var(--line)",
    tickformat: ",", tickfont: { size: 12, color: "var(--muted)" },
  };
  const withAxis = (own) => ({ ...axis, ...own, title: { font: { size: 12, color: "var(--muted)" }, standoff: 10, ...own?.title } });
  const themed = (layout) => ({
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "var(--ink)" },
    hoverlabel: { align: "left", bgcolor: "var(--raised)", bordercolor: "var(--line)", font: { color: "var(--ink)", size: 12.5 } },
    hovermode: "closest",
    ...(layout.xaxis && { xaxis: withAxis(layout.xaxis), yaxis: withAxis(layout.yaxis) }),
  });

  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    for (const [id, figure] of Object.entries(figures)) {
      const { data, layout } = paint({ data: figure.data, layout: themed(figure.layout) }, style);
      Plotly.react(id, data, layout, { displayModeBar: false, responsive: true });
    }
  };

  // Plotly shrinks a tile's name until it fits; below a readable size it is hidden instead, at each zoom.
  const hideSpeck = (text) => {
    const scale = /scale\(([\d.]+)/.exec(text.getAttribute("transform") ?? "")?.[1] ?? 1;
    text.style.visibility = scale < 0.62 ? "hidden" : "visible";
  };
  const watchMap = (map) => {
    const texts = (changes) => changes.map((change) => change.target).filter((node) => node.matches(".slicetext"));
    new MutationObserver((changes) => texts(changes).forEach(hideSpeck))
      .observe(map, { subtree: true, attributes: true, attributeFilter: ["transform"] });
    const all = () => map.querySelectorAll(".slicetext").forEach(hideSpeck);
    map.on("plotly_afterplot", all);
    all();
  };

  draw();
  if (figures.map) watchMap(document.getElementById("map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
