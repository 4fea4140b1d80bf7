// The canvas: where a frame's pixel is on the screen, what is drawn there, and what the pointer does.

import { Painter, unit } from "./paint.js";

const HIGHEST_ZOOM = 32;
const DRAG = 4; // CSS pixels that a pointer moves before a click becomes a box
const MARKER = 8; // CSS pixels on a small screen
const SMOOTH_UP_TO = 3; // device pixels a frame pixel; above, its pixels are shown as squares

export class Stage {
  /** `act`: {click(at, background), box(at), hover(pixel | null), painted()}; pixels are those of the frame. */
  constructor(canvas, act) {
    this.canvas = canvas;
    this.act = act;
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.drag = null;
    this.cursor = null;
    this.corner = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.#listen();
  }

  /** Show the frames of this clip from now on. */
  open(clip) {
    this.clip = clip;
    this.scene = null;
    this.#resize(clip.width, clip.height);
  }

  /** scene: {bitmap, shown: [{mask, colour}], markers: [{at, label, corrects, colour}], view, opacity, ground, colour}. */
  show(scene) {
    this.scene = scene;
    const { width, height } = scene.bitmap;
    if (width !== this.width || height !== this.height) this.#resize(width, height);
    this.draw();
  }

  /** Frames have this size from now on; those of separate images and of shots need not be alike. */
  #resize(width, height) {
    [this.width, this.height] = [width, height];
    this.painter = new Painter(width, height);
    this.cursor = this.corner = null;
    this.fit();
  }

  // Where things are. `sx`, `sy`: CSS pixels a frame pixel; `ox`, `oy`: the frame's corner within the canvas.

  get place() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const aspect = this.clip.aspect;
    const fit = Math.min(width / (this.width * aspect), height / this.height);
    const sy = fit * this.zoom;
    const sx = sy * aspect;
    const along = (size, length, centre) =>
      length <= size ? (size - length) / 2 : Math.min(0, Math.max(size - length, size / 2 - centre * length));
    return {
      sx,
      sy,
      ox: along(width, this.width * sx, this.centre[0]),
      oy: along(height, this.height * sy, this.centre[1]),
    };
  }

  /** The frame's pixel under a pointer, at the frame's edge where the pointer is outside. */
  pixel(event) {
    const box = this.canvas.getBoundingClientRect();
    const { sx, sy, ox, oy } = this.place;
    const within = (value, length) => Math.min(length - 1, Math.max(0, Math.floor(value)));
    return [
      within((event.clientX - box.left - ox) / sx, this.width),
      within((event.clientY - box.top - oy) / sy, this.height),
    ];
  }

  fit() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.draw();
  }

  /** Zoom by a factor; the point of the canvas at (x, y), in CSS pixels, stays where it is. */
  zoomBy(factor, x, y) {
    if (!this.clip) return;
    const box = this.canvas.getBoundingClientRect();
    [x, y] = [x ?? box.width / 2, y ?? box.height / 2];
    const before = this.place;
    const point = [(x - before.ox) / before.sx / this.width, (y - before.oy) / before.sy / this.height];
    this.zoom = Math.min(HIGHEST_ZOOM, Math.max(1, this.zoom * factor));
    const { sx, sy } = this.place;
    this.centre = [
      point[0] - (x - box.width / 2) / (sx * this.width),
      point[1] - (y - box.height / 2) / (sy * this.height),
    ];
    this.#settle();
  }

  panBy(dx, dy) {
    if (!this.clip) return;
    const { sx, sy } = this.place;
    this.centre = [this.centre[0] - dx / (sx * this.width), this.centre[1] - dy / (sy * this.height)];
    this.#settle();
  }

  /** Keep the centre where the picture can really be, so that panning back begins at once. */
  #settle() {
    const box = this.canvas.getBoundingClientRect();
    const { sx, sy, ox, oy } = this.place;
    this.centre = [
      (box.width / 2 - ox) / (sx * this.width),
      (box.height / 2 - oy) / (sy * this.height),
    ];
    this.draw();
  }

  // The keyboard's cross.

  moveCursor(dx, dy) {
    if (!this.clip) return;
    const { width, height } = this;
    const [x, y] = this.cursor ?? [Math.floor(width / 2) - dx, Math.floor(height / 2) - dy];
    this.cursor = [Math.min(width - 1, Math.max(0, x + dx)), Math.min(height - 1, Math.max(0, y + dy))];
    this.#keepInView(this.cursor);
    this.act.hover(this.cursor);
    this.draw();
  }

  #keepInView([x, y]) {
    const box = this.canvas.getBoundingClientRect();
    const { sx, sy, ox, oy } = this.place;
    const off = (at, size) => Math.min(0, at - 20) || Math.max(0, at + 20 - size);
    const [right, down] = [off(ox + x * sx, box.width), off(oy + y * sy, box.height)];
    if (this.zoom > 1 && (right || down)) this.panBy(-right, -down);
  }

  /** The first call marks a corner of a box, the second one draws it. */
  markCorner() {
    if (!this.cursor) this.moveCursor(0, 0);
    if (!this.corner) this.corner = this.cursor;
    else {
      const box = boxOf(this.corner, this.cursor);
      this.corner = null;
      this.act.box(box);
    }
    this.draw();
  }

  /** Whether there was anything to let go of. */
  letGo() {
    const held = this.drag || this.corner || this.cursor;
    this.drag = this.corner = this.cursor = null;
    this.draw();
    return Boolean(held);
  }

  // The pointer.

  #listen() {
    const canvas = this.canvas;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.letGo());
    canvas.addEventListener("pointerleave", () => this.drag || this.act.hover(null));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #down(event) {
    if (!this.scene) return;
    event.preventDefault();
    document.activeElement?.blur();
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor = this.corner = null;
    const pans = event.button === 1 || event.altKey;
    this.drag = {
      pans,
      background: event.button === 2 || event.shiftKey || event.ctrlKey,
      from: this.pixel(event),
      to: this.pixel(event),
      start: [event.clientX, event.clientY],
      last: [event.clientX, event.clientY],
      isBox: false,
    };
    this.canvas.classList.toggle("panning", pans);
  }

  #move(event) {
    if (!this.scene) return;
    this.act.hover(this.pixel(event));
    const drag = this.drag;
    if (!drag) return;
    if (drag.pans) this.panBy(event.clientX - drag.last[0], event.clientY - drag.last[1]);
    drag.last = [event.clientX, event.clientY];
    drag.to = this.pixel(event);
    const far = Math.hypot(event.clientX - drag.start[0], event.clientY - drag.start[1]) > DRAG;
    if (far && !drag.pans && !drag.background) drag.isBox = true;
    if (drag.isBox) this.draw();
  }

  #up(event) {
    const drag = this.drag;
    this.drag = null;
    this.canvas.classList.remove("panning");
    if (!drag || drag.pans) return;
    if (drag.isBox) this.act.box(boxOf(drag.from, this.pixel(event)));
    else this.act.click(drag.from, drag.background);
  }

  /** A mouse wheel and a pinch zoom; two fingers on a touch pad move a picture that is zoomed. */
  #wheel(event) {
    if (!this.clip) return;
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    const isPad = event.deltaMode === 0 && (event.deltaX !== 0 || Math.abs(event.deltaY) < 40);
    if (isPad && !event.ctrlKey) return void this.panBy(-event.deltaX, -event.deltaY);
    const step = Math.max(-50, Math.min(50, event.deltaY * (event.deltaMode ? 20 : 1)));
    this.zoomBy(Math.exp(-step * (event.ctrlKey ? 0.01 : 0.006)), event.clientX - box.left, event.clientY - box.top);
  }

  // Drawing.

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (this.clip && this.scene) this.#paint();
    });
  }

  #paint() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const density = window.devicePixelRatio;
    const [across, down] = [Math.round(width * density), Math.round(height * density)];
    if (this.canvas.width !== across) this.canvas.width = across;
    if (this.canvas.height !== down) this.canvas.height = down;
    const context = this.canvas.getContext("2d");
    const place = this.place;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, across, down);
    context.setTransform(density * place.sx, 0, 0, density * place.sy, density * place.ox, density * place.oy);
    context.imageSmoothingEnabled = place.sy * density < SMOOTH_UP_TO;
    context.imageSmoothingQuality = "medium";
    this.painter.paint(context, this.scene, place.sy, unit());
    context.setTransform(density, 0, 0, density, 0, 0);
    this.#drawMarks(context, place);
    this.canvas.dataset.place = [place.ox, place.oy, place.sx, place.sy].join(",");
    this.act.painted();
  }

  #drawMarks(context, { sx, sy, ox, oy }) {
    const at = ([x, y]) => [ox + x * sx, oy + y * sy];
    for (const mark of this.scene.markers) {
      if (mark.at.length === 4) drawBox(context, at(mark.at.slice(0, 2)), at(mark.at.slice(2)), mark.colour);
      else drawMarker(context, at([mark.at[0] + 0.5, mark.at[1] + 0.5]), mark, MARKER * unit());
    }
    const [from, to] = this.drag?.isBox ? [this.drag.from, this.drag.to] : [this.corner, this.cursor];
    if (from && to) {
      const box = boxOf(from, to);
      drawBox(context, at(box.slice(0, 2)), at(box.slice(2)), this.scene.colour);
    }
    if (this.cursor) drawCross(context, at([this.cursor[0] + 0.5, this.cursor[1] + 0.5]));
  }
}

/** The box around two pixels, its far edges exclusive. */
const boxOf = ([ax, ay], [bx, by]) => [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx) + 1, Math.max(ay, by) + 1];

/** A circle is a prompt, a diamond a correction, a square what a file tells; plus is foreground, minus background. */
export function drawMarker(context, [x, y], { label, corrects, filed, colour }, size) {
  const shape = new Path2D();
  if (corrects) {
    const reach = size * 1.25;
    shape.moveTo(x, y - reach);
    for (const [dx, dy] of [[1, 0], [0, 1], [-1, 0]]) shape.lineTo(x + dx * reach, y + dy * reach);
    shape.closePath();
  } else if (filed) shape.rect(x - size, y - size, 2 * size, 2 * size);
  else shape.arc(x, y, size, 0, 2 * Math.PI);
  const scale = size / MARKER;
  context.lineWidth = 4.5 * scale;
  context.strokeStyle = "#000b";
  context.stroke(shape);
  context.fillStyle = label ? colour : "#14171c";
  context.fill(shape);
  context.lineWidth = 2 * scale;
  context.strokeStyle = label ? "#ffffff" : colour;
  context.stroke(shape);
  const sign = new Path2D(label ? "M-4 0H4M0-4V4" : "M-4 0H4");
  context.save();
  context.translate(x, y);
  context.scale(scale, scale);
  context.lineCap = "round";
  context.lineWidth = 2;
  context.strokeStyle = label ? "#0b0d10" : "#ffffff";
  context.stroke(sign);
  context.restore();
}

function drawBox(context, [x0, y0], [x1, y1], colour) {
  for (const [width, style] of [[4, "#000a"], [2, colour]]) {
    context.lineWidth = width * unit();
    context.strokeStyle = style;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
}

function drawCross(context, [x, y]) {
  for (const [width, style] of [[3.5, "#000c"], [1.5, "#ffffff"]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 4 * dx, y + 4 * dy);
      context.lineTo(x + 16 * dx, y + 16 * dy);
    }
    context.stroke();
  }
}
