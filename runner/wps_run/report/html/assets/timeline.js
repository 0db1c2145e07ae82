// The timeline: a bar for each action, in as many lanes as actions ran at the same time; bands where
// the service throttled the run; a line to the action that the selected action waited for.

const AXIS_HEIGHT = 22; // pixels
const TOLERANCE = 4; // pixels beside a bar that still select it

const timed = actions.filter((action) => action.started !== null)
  .sort((a, b) => a.started - b.started || a.index - b.index);
const plot = {
  canvas: $("plot").firstElementChild,
  lanes: [],
  bands: [],
  first: 0,
  last: 1,
  from: 0,
  to: 1,
  selected: null,
  matching: new Set(),
  drag: null,
};

function end(action) {
  return action.started + action.duration;
}

// Put each action into the first lane that is free when it starts.
function assignLanes() {
  const free = [];
  for (const action of timed) {
    let lane = free.findIndex((freeAt) => freeAt <= action.started);
    if (lane < 0) lane = free.length;
    free[lane] = end(action);
    action.lane = lane;
    (plot.lanes[lane] ??= []).push(action);
  }
}

// Merge the times in which at least one action paused because the service throttled it.
function computeBands() {
  const spans = timed.flatMap((action) => action.tries
    .filter(([, http]) => THROTTLING.has(http))
    .map(([at, , , pause]) => [at, Math.min(at + pause, Math.max(end(action), at))]))
    .sort((a, b) => a[0] - b[0]);
  for (const [from, to] of spans) {
    const last = plot.bands.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else plot.bands.push([from, to]);
  }
}

function xOf(time) {
  return ((time - plot.from) / (plot.to - plot.from)) * plot.width;
}

function timeAt(pixel) {
  return plot.from + (pixel / plot.width) * (plot.to - plot.from);
}

function resize() {
  const lanes = Math.max(1, plot.lanes.length);
  plot.laneHeight = Math.max(3, Math.min(18, Math.floor(340 / lanes)));
  plot.width = $("plot").clientWidth;
  plot.height = Math.max(72, lanes * plot.laneHeight + 8) + AXIS_HEIGHT;
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
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const context = plot.context;
  const bottom = plot.height - AXIS_HEIGHT;
  context.fillStyle = color("panel");
  context.fillRect(0, 0, plot.width, plot.height);
  context.fillStyle = color("throttled");
  for (const [from, to] of plot.bands) {
    context.fillRect(xOf(from), 0, Math.max(1, xOf(to) - xOf(from)), bottom);
  }
  drawAxis(context, color, bottom);
  const colors = Object.fromEntries([...STATUSES, "pause"].map((name) => [name, color(name)]));
  const visible = timed.filter((action) => end(action) >= plot.from && action.started <= plot.to);
  const isOk = (action) => action.status === "ok";
  for (const action of visible.filter(isOk)) drawBar(context, colors, action, 1);
  for (const action of visible.filter((action) => !isOk(action))) drawBar(context, colors, action, 3);
  if (plot.selected) drawSelected(context, color);
}

// Draw a bar. Those that are not ok are drawn last, and wide enough to be seen among thousands.
function drawBar(context, colors, action, minWidth) {
  const top = 4 + action.lane * plot.laneHeight;
  const height = Math.max(2, plot.laneHeight - 2);
  const bar = (from, to) => context.fillRect(xOf(from), top, Math.max(minWidth, xOf(to) - xOf(from) - 0.5), height);
  context.globalAlpha = plot.matching.has(action) ? 1 : 0.18;
  context.fillStyle = colors[action.status];
  bar(action.started, end(action));
  context.fillStyle = colors.pause;
  for (const [at, , , pause] of action.tries) bar(at, Math.min(at + pause, end(action)));
  context.fillStyle = colors[action.status];
  for (const [at] of action.tries) context.fillRect(xOf(at), top, 2, height);
  context.globalAlpha = 1;
}

function drawSelected(context, color) {
  const middle = (action) => 4 + (action.lane + 0.5) * plot.laneHeight;
  const action = plot.selected;
  context.strokeStyle = context.fillStyle = color("text");
  context.lineWidth = 2;
  const width = Math.max(4, xOf(end(action)) - xOf(action.started));
  context.strokeRect(xOf(action.started) - 1, 3 + action.lane * plot.laneHeight, width + 2, plot.laneHeight);
  const waitedFor = byIndex.get(action.waitedFor);
  if (waitedFor?.lane === undefined) return;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(xOf(end(waitedFor)), middle(waitedFor));
  context.lineTo(xOf(action.started), middle(action));
  context.stroke();
  context.beginPath();
  context.arc(xOf(end(waitedFor)), middle(waitedFor), 3.5, 0, 7);
  context.fill();
}

function drawAxis(context, color, bottom) {
  const minStep = (plot.to - plot.from) / Math.max(2, plot.width / 110);
  const power = 10 ** Math.floor(Math.log10(minStep));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= minStep);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = color("muted");
  context.strokeStyle = color("line");
  context.lineWidth = 1;
  for (let tick = Math.ceil(plot.from / step) * step; tick <= plot.to; tick += step) {
    const left = Math.round(xOf(tick)) + 0.5;
    context.beginPath();
    context.moveTo(left, 0);
    context.lineTo(left, bottom + 4);
    context.stroke();
    context.fillText(timeText(tick, step), left + 3, plot.height - 6);
  }
}

function timeText(tick, step) {
  if (step >= 1000) return `${(tick / 1000).toLocaleString("en")} s`;
  return `${tick.toLocaleString("en", { maximumFractionDigits: 3 })} ms`;
}

// Return the action at a point: the action with the nearest bar in the lane, or null.
function actionAt(left, top) {
  const lane = plot.lanes[Math.floor((top - 4) / plot.laneHeight)] ?? [];
  let nearest = null;
  let minDistance = TOLERANCE;
  for (const action of lane) {
    const distance = Math.max(xOf(action.started) - left, left - xOf(end(action)), 0);
    if (distance < minDistance) [nearest, minDistance] = [action, distance];
  }
  return nearest;
}

function select(action) {
  if (!action || action === plot.selected) return;
  plot.selected = action;
  const info = $("plot-info");
  const parts = [`${action.status}${action.httpStatus === null ? "" : ` ${action.httpStatus}`}`,
    `started at ${milliseconds(action.started)} ms`, `took ${milliseconds(action.duration)} ms`];
  if (action.waitedFor !== null) parts.push(`waited for #${action.waitedFor}`);
  if (action.tries.length) {
    const paused = action.tries.reduce((sum, attempt) => sum + attempt[3], 0);
    parts.push(`${action.tries.length + 1} attempts, ${milliseconds(paused)} ms of pauses`);
  }
  info.replaceChildren(make("strong", "", `#${action.index} ${action.actionName} `), value(action.target), ` · ${parts.join(" · ")}`);
  draw();
}

// Select an action and move the view so that it is visible.
function selectAndShow(action) {
  if (!action) return;
  const half = (plot.to - plot.from) / 2;
  if (action.started < plot.from || action.started > plot.to) showRange(action.started - half, action.started + half);
  select(action);
}

function showRange(from, to) {
  const total = plot.last - plot.first;
  const span = Math.min(total, Math.max(to - from, total / 1e6, 0.01));
  plot.from = Math.min(Math.max(plot.first, from), plot.last - span);
  plot.to = plot.from + span;
  draw();
}

function zoom(factor, center) {
  const fixed = center ?? (plot.selected && plot.selected.started >= plot.from && plot.selected.started <= plot.to
    ? plot.selected.started : (plot.from + plot.to) / 2);
  showRange(fixed - (fixed - plot.from) * factor, fixed + (plot.to - fixed) * factor);
}

function onKey(event) {
  const matching = timed.filter((action) => plot.matching.has(action));
  const index = matching.indexOf(plot.selected);
  const keys = {
    ArrowRight: () => selectAndShow(matching[Math.min(index + 1, matching.length - 1)]),
    ArrowLeft: () => selectAndShow(matching[Math.max(index - 1, 0)]),
    Home: () => selectAndShow(matching[0]),
    End: () => selectAndShow(matching.at(-1)),
    w: () => selectAndShow(timed[timed.indexOf(byIndex.get(plot.selected?.waitedFor))]),
    "+": () => zoom(0.5),
    "-": () => zoom(2),
    Enter: () => plot.selected && reveal(plot.selected),
  };
  const handler = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!handler || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  handler();
}

function addListeners() {
  const position = (event) => {
    const box = plot.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const area = $("plot");
  area.addEventListener("pointermove", (event) => {
    const [left, top] = position(event);
    if (plot.drag === null) return select(actionAt(left, top));
    const moved = timeAt(plot.drag) - timeAt(left);
    plot.drag = left;
    showRange(plot.from + moved, plot.to + moved);
  });
  area.addEventListener("pointerdown", (event) => {
    [plot.drag] = position(event);
    select(actionAt(...position(event)));
  });
  for (const name of ["pointerup", "pointerleave"]) area.addEventListener(name, () => { plot.drag = null; });
  area.addEventListener("dblclick", (event) => zoom(0.5, timeAt(position(event)[0])));
  area.addEventListener("keydown", onKey);
  $("zoom-in").addEventListener("click", () => zoom(0.5));
  $("zoom-out").addEventListener("click", () => zoom(2));
  $("zoom-all").addEventListener("click", () => showRange(plot.first, plot.last));
  window.addEventListener("resize", resize);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function buildLegend() {
  const statuses = STATUSES.filter((status) => timed.some((action) => action.status === status));
  const entries = statuses.map((status) => [`i-${status}`, status]);
  if (timed.some((action) => action.tries.length)) entries.push(["pause", "pause before another attempt"]);
  if (plot.bands.length) entries.push(["throttled", "throttled by the service"]);
  for (const [className, text] of entries) $("legend").append(make("li", "", make("i", className), text));
}

if (timed.length) {
  $("timeline").hidden = false;
  assignLanes();
  computeBands();
  plot.first = plot.from = timed[0].started;
  plot.last = plot.to = timed.reduce((last, action) => Math.max(last, end(action)), plot.first + 0.01);
  buildLegend();
  view.listeners.push(() => {
    plot.matching = new Set(view.filtered);
    draw();
  });
  plot.matching = new Set(view.filtered);
  addListeners();
  resize();
}
