// Masks become pixels: run lengths to a coloured cut, and a frame with its masks to one of four views.

import { outlines } from "./outline.js";

export const VIEWS = { overlay: "Overlay", matte: "Matte", green: "Green", cutout: "Cut-out" };
const OUTLINE = 2; // CSS pixels on a small screen
const EXACT_FROM = 4; // CSS pixels a frame pixel; below, stairs would only be noise

/** How much larger than on a small screen lines and markers are: they grow with the text. */
export const unit = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 13;

/** A mask as it travels: `box` [x0,y0,x1,y1] and `runs` row by row within it, background first. */
export class Mask {
  constructor({ box, runs, score }) {
    this.box = box;
    this.score = score;
    this.runs = runs;
    this.colour = "";
  }

  get isEmpty() {
    return !this.box;
  }

  /** The mask as a canvas of the size of its box, all of it in this colour. */
  cut(colour) {
    if (this.colour === colour) return this.canvas;
    const [x0, y0, x1, y1] = this.box;
    const [width, height] = [x1 - x0, y1 - y0];
    this.canvas ??= new OffscreenCanvas(width, height);
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    const value = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    let [position, inside] = [0, false];
    for (const length of this.runs) {
      if (inside) pixels.fill(value, position, position + length);
      position += length;
      inside = !inside;
    }
    this.canvas.getContext("2d").putImageData(image, 0, 0);
    this.colour = colour;
    return this.canvas;
  }

  /** The rims of the mask, in pixels of the frame: {exact, smooth}. */
  get outlines() {
    return (this.paths ??= outlines(this.box, this.runs));
  }
}

/** Paints a frame in one of the views. `shown`: [{mask, colour}], in the order of the result. */
export class Painter {
  constructor(width, height) {
    this.layer = new OffscreenCanvas(width, height);
    this.size = [width, height];
  }

  /** Draw a scene into a context whose unit is a pixel of the frame; `scale`: CSS pixels a frame pixel; `unit`: see `unit`. */
  paint(context, { bitmap, shown, view, opacity, ground }, scale, unit) {
    const visible = shown.filter(({ mask }) => !mask.isEmpty);
    if (view === "overlay") this.#overlay(context, bitmap, visible, opacity, scale, unit);
    else this.#cutOut(context, bitmap, visible, view, view === "green" ? ground : view === "matte" ? "#000000" : squares(context, scale));
  }

  #overlay(context, bitmap, shown, opacity, scale, unit) {
    context.drawImage(bitmap, 0, 0, ...this.size);
    context.globalAlpha = opacity;
    for (const { mask, colour } of shown) context.drawImage(mask.cut(colour), mask.box[0], mask.box[1]);
    context.globalAlpha = 1;
    context.lineJoin = "round";
    context.lineWidth = (OUTLINE * unit) / scale;
    for (const { mask, colour } of shown) {
      context.strokeStyle = colour;
      context.stroke(scale < EXACT_FROM * unit ? mask.outlines.smooth : mask.outlines.exact);
    }
  }

  #cutOut(context, bitmap, shown, view, ground) {
    const layer = this.layer.getContext("2d");
    layer.globalCompositeOperation = "source-over";
    layer.clearRect(0, 0, ...this.size);
    for (const { mask } of shown) layer.drawImage(mask.cut("#ffffff"), mask.box[0], mask.box[1]);
    if (view !== "matte") {
      layer.globalCompositeOperation = "source-in";
      layer.drawImage(bitmap, 0, 0, ...this.size);
    }
    context.fillStyle = ground;
    context.fillRect(0, 0, ...this.size);
    context.drawImage(this.layer, 0, 0);
  }
}

/** The chequered ground that stands for nothing, in squares of 8 CSS pixels. */
function squares(context, scale) {
  const tile = new OffscreenCanvas(16, 16);
  const paint = tile.getContext("2d");
  paint.fillStyle = "#3a3f48";
  paint.fillRect(0, 0, 16, 16);
  paint.fillStyle = "#4b515c";
  paint.fillRect(0, 0, 8, 8);
  paint.fillRect(8, 8, 8, 8);
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}
