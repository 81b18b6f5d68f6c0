// `<line-chart .spec=${…}>`: a chart of uPlot in the page's colours, as wide as its place; what it shows is said in words.

const HEIGHT = 220;
// A canvas knows no light-dark(): the colour is read where the browser has resolved it.
const colour = (name) => {
  const probe = document.body.appendChild(document.createElement("span"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

class LineChart extends HTMLElement {
  // spec: {words, x: {label, time}, y: {label, range, format}, xs, lines: [{name, values, colour, dash, band, edge, bars}]; a band goes down to the next line, its edge}
  set spec(spec) {
    // The place of a line decides which plot can take new data; everything else is drawn anew.
    const shape = JSON.stringify([spec.x, spec.y?.label, spec.y?.range, spec.lines.map(({values, ...line}) => line)]);
    this._spec = spec;
    this.setAttribute("role", "img");
    this.setAttribute("aria-label", spec.words);
    if (this._plot && shape === this._shape) this._plot.setData(this._data());
    else if (this.isConnected) this._draw();
    this._shape = shape;
  }

  connectedCallback() {
    this._redraw = () => this._draw();
    addEventListener("themechange", this._redraw);
    this._size = new ResizeObserver(() => this._plot?.setSize({width: this.clientWidth, height: HEIGHT}));
    this._size.observe(this);
    if (this._spec) this._draw();
  }

  disconnectedCallback() {
    removeEventListener("themechange", this._redraw);
    this._size.disconnect();
    this._plot?.destroy();
    this._plot = undefined;
  }

  _data() {
    return [this._spec.xs, ...this._spec.lines.map((line) => line.values)];
  }

  _draw() {
    this._plot?.destroy();
    const {x, y = {}, lines} = this._spec;
    const text = colour("--muted");
    const grid = {stroke: colour("--line"), width: 1};
    const axis = {stroke: text, grid, ticks: grid, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif"};
    const format = y.format ?? ((value) => value?.toLocaleString("en"));
    const options = {
      width: this.clientWidth || 300,
      height: HEIGHT,
      legend: {live: false},
      cursor: {drag: {x: false, y: false}},
      scales: {x: {time: x.time ?? false, ...(x.range ? {range: x.range} : {})}, y: y.range ? {range: y.range} : y.zero ? {range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1]} : {}},
      axes: [
        {...axis, label: x.label, labelSize: 20, size: 34, ...(x.time ? {space: 80} : {}), ...(x.format ? {values: (_, ticks) => ticks.map(x.format)} : {})},
        {...axis, label: y.label, labelSize: 20, size: 58, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : format(tick)))},
      ],
      series: [
        {label: x.label},
        ...lines.map((line) => ({
          label: line.name,
          class: line.band || line.edge ? "edge" : undefined,
          stroke: line.band || line.edge ? "transparent" : colour(line.colour),
          fill: line.bars ? colour(line.colour) : undefined,
          width: line.band || line.edge ? 0 : 2,
          dash: line.dash,
          points: {show: false},
          paths: line.bars ? uPlot.paths.bars({size: [0.9, 100], align: 1}) : undefined,
        })),
      ],
      bands: lines.flatMap((line, place) => (line.band ? [{series: [place + 1, place + 2], fill: colour(line.band)}] : [])),
    };
    this._plot = new uPlot(options, this._data(), this);
  }
}

customElements.define("line-chart", LineChart);
