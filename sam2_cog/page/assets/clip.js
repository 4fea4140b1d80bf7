// The frames of the open clip as the browser keeps them: a few pictures and masks around the one that is shown.

import { get, picture } from "./api.js";
import { Mask } from "./paint.js";

const PICTURE_BYTES = 384 << 20;
const MASK_FRAMES = 400;
const AHEAD = 8;

/** Promises by key, the oldest forgotten. What fails is forgotten at once, so that it is asked for again. */
class Shelf {
  constructor(size, drop = () => {}) {
    this.size = size;
    this.drop = drop;
    this.kept = new Map();
  }

  get(key, make) {
    let found = this.kept.get(key);
    if (found) this.kept.delete(key);
    else {
      found = make();
      found.catch(() => this.kept.get(key) === found && this.kept.delete(key));
    }
    this.kept.set(key, found);
    for (const [oldest, promise] of this.kept) {
      if (this.kept.size <= this.size) break;
      this.kept.delete(oldest);
      promise.then(this.drop, () => {});
    }
    return found;
  }

  forget(key) {
    this.kept.delete(key);
  }

  clear() {
    for (const key of [...this.kept.keys()]) this.kept.delete(key);
  }
}

export class Clip {
  constructor(facts) {
    Object.assign(this, facts);
    const most = Math.floor(PICTURE_BYTES / (4 * this.width * this.height));
    this.pictures = new Shelf(Math.min(200, Math.max(AHEAD + 4, most)));
    this.found = new Shelf(MASK_FRAMES);
  }

  /** {bitmap, seconds} of a frame. */
  picture(frame) {
    return this.pictures.get(frame, () => picture(`/api/frame/${frame}?clip=${this.id}`));
  }

  /** Masks by name of what was tracked on a frame. */
  masks(frame) {
    return this.found.get(frame, async () => masksByName(await get(`/api/masks/${frame}?clip=${this.id}`)));
  }

  /** Fetch what is likely to be shown next. */
  prefetch(frame, direction, withMasks) {
    for (let step = 1; step <= AHEAD; step++) {
      const next = frame + step * direction;
      if (next < 0 || next >= this.frames) return;
      this.picture(next).catch(() => {});
      if (withMasks(next)) this.masks(next).catch(() => {});
    }
  }
}

export const masksByName = (answer) => new Map(answer.masks.map((mask) => [mask.name, new Mask(mask)]));
