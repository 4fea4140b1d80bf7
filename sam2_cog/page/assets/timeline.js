// A lane for each object: how sure the network is on each frame, where the object is absent, what is out of date, clicks.

import { clicksOf, framesOf, isCorrection, marksOf } from "./request.js";
import { drawMarker } from "./stage.js";

const RULER = 1.4; // rem, as in page.css
const LANE = 1.75;
const EDGE = 8; // CSS pixels left and right, so that the first frame's clicks are whole
const ABSENT = 1; // a lane's values: 0 not tracked, 1 absent, 2 to 255 the score

export class Timeline {
  constructor(canvas, seek) {
    this.canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    const go = (event) => {
      if (!this.state?.frames || (event.type === "pointermove" && !event.buttons)) return;
      const box = canvas.getBoundingClientRect();
      seek(Math.floor(((event.clientX - box.left - EDGE) / (box.width - 2 * EDGE)) * this.state.frames));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      go(event);
    });
    canvas.addEventListener("pointermove", go);
  }

  /** state: {frames, frame, doc, lanes: Map name -> bytes, stale: {name: frame}, fresh: bytes | null, colourOf}. */
  show(state) {
    this.state = state;
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (this.state) this.#paint();
    });
  }

  #paint() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const { doc, frames, frame } = this.state;
    const rows = Math.max(1, doc.objects.length);
    const height = (RULER + rows * LANE) * rem;
    this.canvas.style.height = `${height}px`;
    const width = this.canvas.clientWidth;
    const density = window.devicePixelRatio;
    this.canvas.width = Math.round(width * density);
    this.canvas.height = Math.round(height * density);
    const context = this.canvas.getContext("2d");
    context.scale(density, density);
    const x = (at) => EDGE + (at * (width - 2 * EDGE)) / Math.max(1, frames);
    this.#ruler(context, x, width, rem);
    for (let row = 0; row < rows; row++) {
      const [top, tall] = [(RULER + row * LANE + 0.2) * rem, (LANE - 0.4) * rem];
      context.fillStyle = "#1c2027";
      context.beginPath();
      context.roundRect(0, top, width, tall, 4);
      context.fill();
      if (doc.objects[row]) this.#lane(context, x, doc.objects[row], top, tall);
    }
    if (!frames) return;
    context.fillStyle = "#ffffff";
    const middle = x(frame + 0.5);
    context.fillRect(middle - 0.75, RULER * rem * 0.55, 1.5, height);
    context.beginPath();
    context.moveTo(middle - 5, RULER * rem * 0.55);
    context.lineTo(middle + 5, RULER * rem * 0.55);
    context.lineTo(middle, RULER * rem * 0.55 + 6);
    context.fill();
  }

  #ruler(context, x, width, rem) {
    const { frames } = this.state;
    const wide = 5 * rem;
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4].find((n) => x(n) - x(0) >= wide) ?? 1e5;
    context.fillStyle = "#aab2c0";
    context.strokeStyle = "#39414e";
    context.font = `${0.82 * rem}px system-ui, "DejaVu Sans", sans-serif`;
    context.textBaseline = "top";
    for (let at = 0; at < frames && x(at) < width - 2 * rem; at += step) {
      context.fillText(String(at), x(at) + 4, 0);
      context.fillRect(x(at), 0, 1, RULER * rem * 0.75);
    }
  }

  #lane(context, x, object, top, tall) {
    const { doc, lanes, stale, fresh, colourOf } = this.state;
    const colour = colourOf(object.id);
    const from = stale[object.name] ?? Infinity;
    const isStale = (frame) => frame >= from && !fresh?.[frame];
    const bar = (start, end, style, alpha, high) => {
      context.globalAlpha = alpha;
      context.fillStyle = style;
      context.fillRect(x(start), top + (tall - high) / 2, x(end) - x(start) + 0.3, high);
      context.globalAlpha = 1;
    };
    for (const [start, end, value, old] of stretches(lanes.get(object.name) ?? [], isStale)) {
      if (value === ABSENT) bar(start, end, old ? "#6b7484" : colour, 0.6, 2);
      else if (old) bar(start, end, hatching(context), 1, tall);
      else bar(start, end, colour, 0.25 + (0.75 * (value - 2)) / 253, tall);
    }
    const filedOn = (frame) => marksOf(doc, object.id, frame).length > 0;
    for (const frame of framesOf(doc, object.id)) {
      const [filed, goesOn] = [filedOn(frame), filedOn(frame) && filedOn(frame - 1)];
      const labels = clicksOf(doc, object.id, frame).map((click) => click.label);
      // a file that tells of frame after frame is a line, or it would hide the lane
      if (goesOn) bar(frame - 0.5, frame + 0.5, "#ffffff", 1, 3);
      if (goesOn && !labels.length) continue;
      const mark = { label: filed ? 1 : Math.max(...labels), corrects: isCorrection(doc, object.id, frame), filed, colour };
      drawMarker(context, [x(frame + 0.5), top + tall / 2], mark, tall / 3.2);
    }
  }
}

/** [start, end, value, is stale] of each stretch that is tracked. Scores come in eight steps, more no eye can tell. */
function* stretches(lane, isStale) {
  const step = (value) => (value < 2 ? value : Math.min(255, (value & 0xe0) + 31));
  for (let start = 0; start < lane.length; ) {
    const [value, old] = [step(lane[start]), isStale(start)];
    let end = start + 1;
    while (end < lane.length && step(lane[end]) === value && isStale(end) === old) end++;
    if (value) yield [start, end, value, old];
    start = end;
  }
}

let pattern;
function hatching(context) {
  if (pattern) return pattern;
  const tile = new OffscreenCanvas(8, 8);
  const paint = tile.getContext("2d");
  paint.fillStyle = "#3b424e";
  paint.fillRect(0, 0, 8, 8);
  paint.strokeStyle = "#6b7484";
  paint.lineWidth = 1.5;
  for (const shift of [-8, 0, 8]) {
    paint.moveTo(shift, 8);
    paint.lineTo(shift + 8, 0);
  }
  paint.stroke();
  return (pattern = context.createPattern(tile, "repeat"));
}
