// The timeline: a bar an action, in as many lanes as were at work at once; bands where the service
// throttled the run; a line to the action that the chosen one waited for.

const THROTTLING = new Set([429, 503]);
const AXIS = 22; // pixels below the lanes
const NEAR = 4; // pixels beside a bar that still mean it

const timed = actions.filter((one) => one.started !== null)
  .sort((a, b) => a.started - b.started || a.index - b.index);
const plot = {
  canvas: $("plot").firstElementChild,
  lanes: [],
  bands: [],
  first: 0,
  last: 1,
  from: 0,
  to: 1,
  chosen: null,
  matching: new Set(),
  drag: null,
};

function end(one) {
  return one.started + one.took;
}

// Put each action into the first lane that is free again when it starts.
function lay() {
  const free = [];
  for (const one of timed) {
    let lane = free.findIndex((moment) => moment <= one.started);
    if (lane < 0) lane = free.length;
    free[lane] = end(one);
    one.lane = lane;
    (plot.lanes[lane] ??= []).push(one);
  }
}

// The spans in which at least one action paused because the service had asked for it, merged.
function bands() {
  const spans = timed.flatMap((one) => one.tries
    .filter(([, http]) => THROTTLING.has(http))
    .map(([at, , , pause]) => [at, Math.min(at + pause, Math.max(end(one), at))]))
    .sort((a, b) => a[0] - b[0]);
  for (const [from, to] of spans) {
    const before = plot.bands.at(-1);
    if (before && from <= before[1]) before[1] = Math.max(before[1], to);
    else plot.bands.push([from, to]);
  }
}

function x(moment) {
  return ((moment - plot.from) / (plot.to - plot.from)) * plot.width;
}

function moment(pixel) {
  return plot.from + (pixel / plot.width) * (plot.to - plot.from);
}

function resize() {
  const lanes = Math.max(1, plot.lanes.length);
  plot.laneHeight = Math.max(3, Math.min(18, Math.floor(340 / lanes)));
  plot.width = $("plot").clientWidth;
  plot.height = Math.max(72, lanes * plot.laneHeight + 8) + AXIS;
  const scale = window.devicePixelRatio || 1;
  plot.canvas.width = Math.round(plot.width * scale);
  plot.canvas.height = Math.round(plot.height * scale);
  plot.canvas.style.height = `${plot.height}px`;
  plot.context = plot.canvas.getContext("2d");
  plot.context.setTransform(scale, 0, 0, scale, 0, 0);
  draw();
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const context = plot.context;
  const bottom = plot.height - AXIS;
  context.fillStyle = colour("panel");
  context.fillRect(0, 0, plot.width, plot.height);
  context.fillStyle = colour("throttled");
  for (const [from, to] of plot.bands) {
    context.fillRect(x(from), 0, Math.max(1, x(to) - x(from)), bottom);
  }
  drawAxis(context, colour, bottom);
  const colours = Object.fromEntries([...STATUSES, "pause"].map((name) => [name, colour(name)]));
  const seen = timed.filter((one) => end(one) >= plot.from && one.started <= plot.to);
  const isOk = (one) => one.status === "ok";
  for (const one of seen.filter(isOk)) drawBar(context, colours, one, 1);
  for (const one of seen.filter((one) => !isOk(one))) drawBar(context, colours, one, 3);
  if (plot.chosen) drawChosen(context, colour);
}

// Bars that are not ok come last and are wide enough to be seen among thousands.
function drawBar(context, colours, one, least) {
  const top = 4 + one.lane * plot.laneHeight;
  const height = Math.max(2, plot.laneHeight - 2);
  const bar = (from, to) => context.fillRect(x(from), top, Math.max(least, x(to) - x(from) - 0.5), height);
  context.globalAlpha = plot.matching.has(one) ? 1 : 0.18;
  context.fillStyle = colours[one.status];
  bar(one.started, end(one));
  context.fillStyle = colours.pause;
  for (const [at, , , pause] of one.tries) bar(at, Math.min(at + pause, end(one)));
  context.fillStyle = colours[one.status];
  for (const [at] of one.tries) context.fillRect(x(at), top, 2, height);
  context.globalAlpha = 1;
}

function drawChosen(context, colour) {
  const middle = (one) => 4 + (one.lane + 0.5) * plot.laneHeight;
  const one = plot.chosen;
  context.strokeStyle = context.fillStyle = colour("text");
  context.lineWidth = 2;
  const width = Math.max(4, x(end(one)) - x(one.started));
  context.strokeRect(x(one.started) - 1, 3 + one.lane * plot.laneHeight, width + 2, plot.laneHeight);
  const before = byIndex.get(one.waitedFor);
  if (before?.lane === undefined) return;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x(end(before)), middle(before));
  context.lineTo(x(one.started), middle(one));
  context.stroke();
  context.beginPath();
  context.arc(x(end(before)), middle(before), 3.5, 0, 7);
  context.fill();
}

function drawAxis(context, colour, bottom) {
  const rough = (plot.to - plot.from) / Math.max(2, plot.width / 110);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colour("muted");
  context.strokeStyle = colour("line");
  context.lineWidth = 1;
  for (let tick = Math.ceil(plot.from / step) * step; tick <= plot.to; tick += step) {
    const left = Math.round(x(tick)) + 0.5;
    context.beginPath();
    context.moveTo(left, 0);
    context.lineTo(left, bottom + 4);
    context.stroke();
    context.fillText(momentText(tick, step), left + 3, plot.height - 6);
  }
}

function momentText(tick, step) {
  if (step >= 1000) return `${(tick / 1000).toLocaleString("en")} s`;
  return `${tick.toLocaleString("en", { maximumFractionDigits: 3 })} ms`;
}

// The action at a place: in its lane, the one whose bar is nearest.
function at(left, top) {
  const lane = plot.lanes[Math.floor((top - 4) / plot.laneHeight)] ?? [];
  let best = null;
  let least = NEAR;
  for (const one of lane) {
    const distance = Math.max(x(one.started) - left, left - x(end(one)), 0);
    if (distance < least) [best, least] = [one, distance];
  }
  return best;
}

function choose(one) {
  if (!one || one === plot.chosen) return;
  plot.chosen = one;
  const info = $("plot-info");
  const parts = [`${one.status}${one.http === null ? "" : ` ${one.http}`}`,
    `started at ${milliseconds(one.started)} ms`, `took ${milliseconds(one.took)} ms`];
  if (one.waitedFor !== null) parts.push(`waited for #${one.waitedFor}`);
  if (one.tries.length) {
    const paused = one.tries.reduce((sum, attempt) => sum + attempt[3], 0);
    parts.push(`${one.tries.length + 1} attempts, ${milliseconds(paused)} ms of pauses`);
  }
  info.replaceChildren(make("strong", "", `#${one.index} ${one.action} `), value(one.target), ` · ${parts.join(" · ")}`);
  draw();
}

// Choose an action and move the view so that it is seen.
function visit(one) {
  if (!one) return;
  const half = (plot.to - plot.from) / 2;
  if (one.started < plot.from || one.started > plot.to) look(one.started - half, one.started + half);
  choose(one);
}

function look(from, to) {
  const whole = plot.last - plot.first;
  const span = Math.min(whole, Math.max(to - from, whole / 1e6, 0.01));
  plot.from = Math.min(Math.max(plot.first, from), plot.last - span);
  plot.to = plot.from + span;
  draw();
}

function zoom(factor, centre) {
  const fixed = centre ?? (plot.chosen && plot.chosen.started >= plot.from && plot.chosen.started <= plot.to
    ? plot.chosen.started : (plot.from + plot.to) / 2);
  look(fixed - (fixed - plot.from) * factor, fixed + (plot.to - fixed) * factor);
}

function key(event) {
  const shown = timed.filter((one) => plot.matching.has(one));
  const place = shown.indexOf(plot.chosen);
  const keys = {
    ArrowRight: () => visit(shown[Math.min(place + 1, shown.length - 1)]),
    ArrowLeft: () => visit(shown[Math.max(place - 1, 0)]),
    Home: () => visit(shown[0]),
    End: () => visit(shown.at(-1)),
    w: () => visit(timed[timed.indexOf(byIndex.get(plot.chosen?.waitedFor))]),
    "+": () => zoom(0.5),
    "-": () => zoom(2),
    Enter: () => plot.chosen && reveal(plot.chosen),
  };
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
}

function listen() {
  const place = (event) => {
    const box = plot.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const area = $("plot");
  area.addEventListener("pointermove", (event) => {
    const [left, top] = place(event);
    if (plot.drag === null) return choose(at(left, top));
    const moved = moment(plot.drag) - moment(left);
    plot.drag = left;
    look(plot.from + moved, plot.to + moved);
  });
  area.addEventListener("pointerdown", (event) => {
    [plot.drag] = place(event);
    choose(at(...place(event)));
  });
  for (const name of ["pointerup", "pointerleave"]) area.addEventListener(name, () => { plot.drag = null; });
  area.addEventListener("dblclick", (event) => zoom(0.5, moment(place(event)[0])));
  area.addEventListener("keydown", key);
  $("zoom-in").addEventListener("click", () => zoom(0.5));
  $("zoom-out").addEventListener("click", () => zoom(2));
  $("zoom-all").addEventListener("click", () => look(plot.first, plot.last));
  window.addEventListener("resize", resize);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function buildLegend() {
  const used = [...STATUSES.filter((status) => timed.some((one) => one.status === status))];
  const entries = used.map((status) => [`i-${status}`, status]);
  if (timed.some((one) => one.tries.length)) entries.push(["pause", "pause before another attempt"]);
  if (plot.bands.length) entries.push(["throttled", "throttled by the service"]);
  for (const [className, text] of entries) $("legend").append(make("li", "", make("i", className), text));
}

if (timed.length) {
  $("timeline").hidden = false;
  lay();
  bands();
  plot.first = plot.from = timed[0].started;
  plot.last = plot.to = timed.reduce((last, one) => Math.max(last, end(one)), plot.first + 0.01);
  buildLegend();
  view.listeners.push(() => {
    plot.matching = new Set(view.shown);
    draw();
  });
  plot.matching = new Set(view.shown);
  listen();
  resize();
}
