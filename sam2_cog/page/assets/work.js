// What the server takes its time for: tracking, writing, an upload. One thing at a time, with its progress.

import { follow, post } from "./api.js";

export class Work {
  /** `app`: {clip, opened, asking(), trying(), found(), settle(), render(), note}. */
  constructor(app) {
    this.app = app;
    this.now = null; // {what, done, total, begin} while something runs
    this.note = ""; // how the last thing ended
  }

  get isTracking() {
    return this.now?.what === "Tracking";
  }

  /** Run something with a progress bar; `action` gets a function that takes how much is done. */
  async run(what, total, action) {
    if (this.now) return;
    this.now = { what, total, done: 0, begin: performance.now() };
    this.note = "";
    this.app.render();
    const ended = await this.app.trying(() => action((done, all) => this.#progress(done, all)));
    this.now = null;
    if (ended) this.note = ended;
    this.app.render();
    document.body.dataset.worked = Number(document.body.dataset.worked ?? 0) + 1;
  }

  #progress(done, total) {
    this.now.done = done;
    this.now.total = total ?? this.now.total;
    this.app.render();
  }

  track() {
    return this.run("Tracking", 0, async (progress) => {
      const { app } = this;
      const began = performance.now();
      let [found, end] = [0, ""];
      for await (const event of follow("/api/track", app.asking())) {
        if ("total" in event) progress(0, event.total);
        if ("frame" in event) {
          app.found(event);
          progress(++found);
        }
        end = event.end ?? end;
      }
      await app.settle();
      const seconds = (performance.now() - began) / 1000;
      const much = `${found} ${app.noun}${found === 1 ? "" : "s"} in ${seconds.toFixed(1)} s, ${(found / seconds).toFixed(1)} ${app.noun}s/s`;
      if (end === "stopped") return `Stopped after ${much}. Track goes on from there.`;
      return found ? `Tracked ${much}.` : "Nothing to track: all is up to date.";
    });
  }

  download() {
    return this.run("Writing", 0, async (progress) => {
      let note = "";
      for await (const event of follow("/api/write", this.app.asking())) {
        if ("total" in event) progress(event.done, event.total);
        if (event.end === "stopped") note = "Stopped, nothing was written.";
        if (event.file) {
          keep(event.file, event.name);
          note = `${event.name}: ${size(event.bytes)}.`;
        }
      }
      await this.app.settle();
      return note;
    });
  }

  stop() {
    if (this.now) post("/api/stop", { clip: this.app.clip.id }).catch(() => {});
  }

  /** How it stands, in words. */
  get pace() {
    if (!this.now) return this.note;
    const { what, done, total, begin } = this.now;
    if (!total || !done) return `${what} …`;
    const share = `${what}: ${Math.min(100, Math.floor((100 * done) / total))} %`;
    if (total <= 1) return share;
    const rate = done / ((performance.now() - begin) / 1000);
    return `${share} · ${rate.toFixed(1)} ${this.app.noun}s/s · ${clock(Math.max(0, total - done) / rate)} left`;
  }

  get share() {
    return this.now?.total ? Math.min(1, this.now.done / this.now.total) : 0;
  }
}

/** Let the browser save what is at an address. */
export function keep(address, name) {
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

const clock = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
