// The two charts: curves of the paths, stacked for traffic so that the upper edge is the sum.

import { by, make, write } from "./page.js";
import * as format from "./format.js";

const COLOURS = 8;
const TIMES = [
  [86400 * 365, "{YYYY}", null, null, null, null, null, null, 0],
  [86400 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];
const KINDS = {
  traffic: { stacked: true, unit: format.rate, tick: format.tick, parts: [["rx", "Download"], ["tx", "Upload"]] },
  rtt: { stacked: false, unit: format.milliseconds, tick: (ms) => `${ms} ms`, parts: [["rtt", "Round trip"]] },
  loss: { stacked: false, unit: format.percent, tick: (share) => `${+(100 * share).toPrecision(2)} %`, parts: [["loss", "Loss"]] },
};

export const colour = (index) => `k${index % COLOURS}`;

export class Charts {
  constructor() {
    this.kind = "traffic";
    this.data = { times: [], paths: {}, step: 1 };
    this.names = [];
    this.plots = [];
    new ResizeObserver(() => this.resize()).observe(by("chart-a").parentElement.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
  }

  show(kind) { this.kind = kind; this.build(); }

  // `names` is the order of the paths, which their colours follow.
  set(data, names) {
    const known = [...names, ...Object.keys(data.paths).filter((name) => !names.includes(name))];
    const same = this.plots.length && known.join("\n") === this.names.join("\n");
    this.names = known;
    this.data = data;
    if (same) this.plots.forEach((plot, index) => { plot.setData(this.columns(index)); this.caption(index); });
    else this.build();
  }

  get parts() { return KINDS[this.kind].parts; }

  columns(index) {
    const { stacked } = KINDS[this.kind];
    const figure = this.parts[index][0];
    const count = this.data.times.length;
    const curves = this.names.map((name) => this.data.paths[name]?.[figure] ?? new Array(count).fill(null));
    if (!stacked) return [this.data.times, ...curves];
    const sums = [];
    let below = new Array(count).fill(0);
    for (const curve of curves) {
      below = below.map((sum, at) => sum + (curve[at] ?? 0));
      sums.push(below);
    }
    // A moment of which nothing at all is known is a gap, not zero.
    const known = this.data.times.map((_, at) => curves.some((curve) => curve[at] != null));
    return [this.data.times, ...sums.reverse().map((sum) => sum.map((value, at) => (known[at] ? value : null)))];
  }

  build() {
    for (const plot of this.plots) plot.destroy();
    const style = getComputedStyle(document.documentElement);
    const paint = (name) => style.getPropertyValue(name).trim();
    const { stacked, unit, tick } = KINDS[this.kind];
    const sync = uPlot.sync("plait");
    by("fig-b").hidden = this.parts.length < 2;
    by("fig-b").parentElement.classList.toggle("single", this.parts.length < 2);
    const order = this.names.map((_, index) => index);
    if (stacked) order.reverse();
    this.plots = this.parts.map((part, index) => {
      const frame = by(index ? "chart-b" : "chart-a");
      const axis = { stroke: paint("--soft"), grid: { stroke: paint("--grid"), width: 1 }, ticks: { stroke: paint("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
      return new uPlot({
        width: frame.clientWidth || 300,
        height: frame.clientHeight || 200,
        legend: { show: false },
        cursor: { sync: { key: sync.key }, drag: { x: false, y: false }, points: { size: 6 } },
        // While little is known yet, it is drawn as what it is: the last minute.
        scales: { x: { range: (plot, first, last) => [Math.min(first ?? 0, (last ?? 0) - 60 * this.data.step), last ?? 1] }, y: { range: (plot, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
        axes: [
          { ...axis, values: TIMES, space: 70 },
          { ...axis, size: 84, space: 36, values: (plot, ticks) => ticks.map((value) => (value === 0 ? "0" : tick(value))) },
        ],
        series: [{}, ...order.map((which, at) => {
          const tint = paint(`--c${which % COLOURS}`);
          return stacked
            ? { stroke: at === 0 ? paint("--ink") : tint, width: at === 0 ? 1.5 : 1, fill: at === order.length - 1 ? tint + "b0" : undefined, points: { show: false } }
            : { stroke: tint, width: 1.6, spanGaps: false, points: { show: false } };
        })],
        bands: stacked ? order.slice(0, -1).map((which, at) => ({ series: [at + 1, at + 2], fill: paint(`--c${which % COLOURS}`) + "b0" })) : [],
        hooks: { setCursor: [() => this.caption(index)] },
      }, this.columns(index), frame);
    });
    this.plots.forEach((_, index) => this.caption(index));
    const legend = by("legend");
    legend.replaceChildren(...this.names.map((name, index) => make("li", {}, make("span", { class: `swatch ${colour(index)}`, "aria-hidden": "true" }), name)));
  }

  // What the curves say under the pointer, or now.
  caption(index) {
    const plot = this.plots[index];
    if (!plot) return;
    const { stacked, unit } = KINDS[this.kind];
    const [figure, title] = this.parts[index];
    const times = this.data.times;
    const at = plot.cursor.idx ?? times.length - 1;
    if (!times.length || at == null || at < 0) { write(by(index ? "cap-b" : "cap-a"), title); return; }
    const values = this.names.map((name) => this.data.paths[name]?.[figure]?.[at] ?? null);
    const known = values.filter((value) => value != null);
    const each = this.names.map((name, which) => `${name} ${unit(values[which])}`).join(" · ");
    const sum = stacked && known.length ? unit(known.reduce((a, b) => a + b, 0)) : "";
    const when = plot.cursor.idx == null ? "" : ` ${format.moment(times[at], this.data.step)}`;
    const caption = by(index ? "cap-b" : "cap-a");
    const text = `${title}${when}|${sum}|${each}`;
    if (caption.written === text) return;
    caption.written = text;
    caption.replaceChildren(`${title}${when}`, make("b", {}, sum), make("span", {}, when || !stacked ? each : ""));
  }

  resize() {
    this.plots.forEach((plot, index) => {
      const frame = by(index ? "chart-b" : "chart-a");
      if (frame.clientWidth && (plot.width !== frame.clientWidth || plot.height !== frame.clientHeight)) {
        plot.setSize({ width: frame.clientWidth, height: frame.clientHeight });
      }
    });
  }
}
