// The page: which clip is open, which frame is shown, what the server makes of the clicks. The parts have files of their own.

import { Refusal, get, post } from "./api.js";
import { Clip, masksByName } from "./clip.js";
import { Editor } from "./editor.js";
import { Files } from "./files.js";
import { listen, sheet } from "./keys.js";
import { VIEWS } from "./paint.js";
import { leaveOnEnter } from "./panel.js";
import { PromptFiles } from "./prompt_files.js";
import { remember, remembered } from "./reload.js";
import * as doc from "./request.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";
import { Work } from "./work.js";

const $ = (id) => document.getElementById(id);
const POLL = 60; // milliseconds between two looks while a clip is opening
const REST = 120; // and of rest on a frame before the network looks at it ahead of a click

/** The masks that one click may mean, `order`: {number, score} as the server counts and rates them, the best first. */
class Choice {
  constructor({ object, frame, at }, scores) {
    Object.assign(this, { object, frame, at });
    this.order = scores.map((score, index) => ({ number: index + 1, score })).sort((a, b) => b.score - a.score);
  }

  isOf(click) {
    return click.object === this.object && click.frame === this.frame && click.at.join() === this.at.join();
  }

  /** Which of them a click has now. */
  place({ candidate }) {
    return candidate ? this.order.findIndex(({ number }) => number === candidate) : 0;
  }
}

class App {
  state = "none";
  clip = null;
  opened = false; // all frames are counted, and the server takes clicks
  shown = null; // {frame, picture, masks}: what is on the canvas
  playing = false;
  view = "overlay";
  masksOn = true;
  markersOn = true;
  lanes = new Map(); // name -> a byte a frame
  fresh = null; // frames that were found since tracking began
  stale = {};
  choice = null; // {at, object, frame, order}: the masks of a click, best first, once they are looked at
  taken = null; // the click whose mask is settled
  previews = new Map(); // object id -> {frame, clicks, marks, mask}
  refusal = null;
  typed = null; // strings that were typed and refused

  async start() {
    this.facts = await get("/api/facts");
    this.editor = new Editor(this);
    this.stage = new Stage($("picture"), {
      click: (at, background) => this.click(at, background ? 0 : 1),
      box: (at) => this.click(at, 1),
      hover: (at) => ($("pixel").textContent = at ? `[${at}]` : ""),
      painted: () => this.painted(),
    });
    this.timeline = new Timeline($("lanes"), (frame) => this.go(frame));
    this.work = new Work(this);
    this.prompts = new PromptFiles($("files"), this);
    this.look = new View(this);
    this.look.form.build(this.facts.inputs);
    this.files = new Files(this);
    this.#bind();
    await this.follow();
    document.body.dataset.ready = "1";
  }

  #bind() {
    const { editor, files, stage, work } = this;
    const actions = {
      open: () => files.open(), load: () => files.load(), save: () => files.save(), attach: () => files.attach(),
      undo: () => editor.undo(), redo: () => editor.redo(), help: () => this.help(),
      first: () => this.go(0), back: () => this.step(-1), play: () => this.play(), next: () => this.step(1),
      last: () => this.go(Infinity), markers: () => this.toggleMarkers(), new: () => editor.add(),
      smaller: () => stage.zoomBy(1 / 1.5), larger: () => stage.zoomBy(1.5), fit: () => stage.fit(),
      candidate: () => this.nextMask(1), track: () => this.track(), stop: () => work.stop(), download: () => this.download(),
    };
    for (const button of document.querySelectorAll("[data-do]")) button.onclick = actions[button.dataset.do];
    $("frame").onchange = () => this.go(Number($("frame").value) || 0);
    leaveOnEnter($("frame"));
    $("keys").append(...sheet());
    listen(this);
  }

  // The clip.

  /** Ask what is open until it is ready, or is not to be had. */
  async follow() {
    for (;;) {
      const facts = await get("/api/clip");
      this.state = facts.state;
      if (facts.width && facts.id !== this.clip?.id) await this.#begin(facts);
      else if (facts.id === this.clip?.id) Object.assign(this.clip, facts);
      if (facts.state === "ready" && !this.opened) await this.trying(() => this.#takeUp(facts));
      if (facts.error) this.say(new Refusal(facts.error));
      this.render();
      if (facts.state !== "opening") return;
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
  }

  /** The first frame is there; the others are still counted. */
  async #begin(facts) {
    this.playing = this.opened = false;
    this.clip = new Clip(facts);
    this.editor.reset(doc.EMPTY);
    [this.lanes, this.stale, this.shown, this.refusal, this.typed] = [new Map(), {}, null, null, null];
    this.choice = this.taken = null;
    this.prompts.offered = {};
    this.previews.clear();
    this.stage.open(this.clip);
    await this.show(0);
  }

  /** All frames are there; what was clicked before the page was loaded anew comes back. */
  async #takeUp(facts) {
    this.opened = true;
    this.look.form.allow("output_format", facts.formats);
    const inputs = remembered(facts.id) ?? facts.inputs;
    if (Object.keys(inputs).length && doc.isEmpty(this.editor.doc)) await this.trying(() => this.read(inputs));
    await this.readLanes();
    this.sync();
  }

  // Frames.

  get noun() {
    return this.areImages ? "image" : "frame";
  }

  /** Whether the frames are images of which none follows from another. */
  get areImages() {
    return this.clip?.kind === "images";
  }

  get frame() {
    return this.shown?.frame ?? 0;
  }

  step(frames) {
    this.go((this.wanted ?? this.frame) + frames);
  }

  go(frame) {
    this.playing = false;
    return this.show(frame);
  }

  toClick(direction) {
    const frames = doc.promptedFrames(this.editor.doc).filter((frame) => (frame - this.frame) * direction > 0);
    if (frames.length) this.go(direction > 0 ? frames[0] : frames.at(-1));
  }

  /** Put a frame on the canvas. One that comes in after a later wish was fulfilled is dropped. */
  async show(frame) {
    const { clip } = this;
    if (!clip) return;
    frame = Math.min((clip.frames ?? 1) - 1, Math.max(0, Math.floor(frame)));
    const direction = frame < (this.wanted ?? 0) ? -1 : 1;
    this.wanted = frame;
    const ticket = (this.ticket = (this.ticket ?? 0) + 1);
    await this.trying(async () => {
      const [picture, masks] = await Promise.all([clip.picture(frame), this.isFound(frame) ? clip.masks(frame) : new Map()]);
      if (clip !== this.clip || ticket < (this.fulfilled ?? 0)) return;
      this.fulfilled = ticket;
      this.shown = { frame, picture, masks };
      this.render();
      if (clip.frames) clip.prefetch(frame, direction, (next) => this.isFound(next));
      clearTimeout(this.resting);
      if (!this.playing && this.opened) this.resting = setTimeout(() => this.rest(), REST);
    });
  }

  /** Whoever rests on a frame is likely to click: the network sees it, and its clicks are looked at anew. */
  rest() {
    if (doc.promptedFrames(this.editor.doc).includes(this.frame)) this.sync();
    else post("/api/warm", { clip: this.clip.id, frame: this.frame }).catch(() => {});
  }

  async play() {
    if (this.playing || !this.clip?.frames || this.areImages) return this.pause();
    this.playing = true;
    if (this.frame === this.clip.frames - 1) await this.show(0);
    let due = performance.now();
    while (this.playing && this.frame < this.clip.frames - 1) {
      due = Math.max(due + 1000 / this.clip.fps, performance.now());
      const before = this.frame;
      await this.show(before + 1);
      if (this.frame === before) break;
      await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
    }
    this.pause();
  }

  pause() {
    this.playing = false;
    this.render();
  }

  // Tracks.

  isFound(frame) {
    return [...this.lanes.values()].some((lane) => lane[frame]);
  }

  isTracked(name, frame) {
    return Boolean(this.lanes.get(name)?.[frame]);
  }

  /** The lanes as the server has them; masks of before are forgotten. */
  async readLanes() {
    const { lanes, edition } = await get(`/api/lanes?clip=${this.clip.id}`);
    this.edition = edition;
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    this.lanes = new Map(Object.entries(lanes).map(([name, text]) => [name, bytes(text)]));
    this.clip.found.clear();
    await this.show(this.frame);
  }

  /** A frame was tracked. */
  found({ frame, lanes }) {
    for (const [name, value] of Object.entries(lanes)) {
      if (!this.lanes.has(name)) this.lanes.set(name, new Uint8Array(this.clip.frames));
      this.lanes.get(name)[frame] = value;
    }
    this.fresh[frame] = 1;
    this.clip.found.forget(frame);
    if (frame === this.frame && !this.playing) this.show(frame);
  }

  /** Tracking or writing has ended: everything as the server has it now. */
  async settle() {
    this.fresh = null;
    await this.#ask();
  }

  /** A clip that is just being opened again is waited for. */
  async track() {
    await this.opening;
    if (!this.opened || this.work.now || doc.isEmpty(this.editor.doc)) return;
    this.fresh = new Uint8Array(this.clip.frames);
    this.work.track();
  }

  async download() {
    await this.opening;
    if (this.opened && !doc.isEmpty(this.editor.doc)) this.work.download();
  }

  // Clicks, and what the server makes of them.

  click(at, label) {
    if (!this.shown) return;
    this.playing = false;
    this.editor.click(at, label);
  }

  /** Show the next of the masks that a single click may mean, the best one first. False where there is no choice. */
  nextMask(step) {
    const click = this.editor.choosing;
    if (!click || !this.opened) return false;
    this.trying(async () => {
      const choice = await this.#choiceOf(click);
      if (this.editor.choosing !== click) return;
      this.choice = choice;
      const place = choice.place(click) + step;
      const next = choice.order[(place + choice.order.length) % choice.order.length];
      this.editor.chooseMask(next === choice.order[0] ? 0 : next.number);
    });
    return true;
  }

  /** Tab is for the masks of a click until one is taken; then it moves the focus again, as everywhere. */
  tab(step) {
    return this.isTaken() ? false : this.nextMask(step);
  }

  isTaken() {
    return this.taken !== null && this.taken === this.editor.choosing;
  }

  /** Whether there was anything to take. */
  takeMask() {
    if (!this.chosen() || this.isTaken()) return false;
    this.taken = this.editor.choosing;
    this.render();
    return true;
  }

  /** The place, from 0, and the score of the mask that is shown for a single click, if its others were looked at. */
  chosen() {
    const click = this.editor.choosing;
    return click && this.choice?.isOf(click) ? { place: this.choice.place(click), order: this.choice.order } : null;
  }

  async #choiceOf(click) {
    if (this.choice?.isOf(click)) return this.choice;
    const { name } = this.editor.object;
    const { scores } = await post("/api/candidates", this.asking({ frame: click.frame, name }));
    return new Choice(click, scores);
  }

  clickCursor(background) {
    if (!background && this.takeMask()) return;
    if (this.stage.cursor) this.click(this.stage.cursor, background ? 0 : 1);
  }

  /** The editor has changed something. */
  changed() {
    this.typed = this.refusal = null;
    this.prompts.offered = {};
    this.look.sayOfObjects("");
    this.render();
    this.sync();
  }

  remove(id) {
    this.look.sayOfObjects(this.editor.remove(id));
  }

  /** The colour that the result gives an object: that of its place among those that are found. */
  colourOf(id) {
    const { colours } = this.facts;
    return colours[doc.ranked(this.editor.doc).findIndex((object) => object.id === id) % colours.length] ?? "#ffffff";
  }

  /** The strings of the clicks and the files, as they are typed or meant. */
  get strings() {
    return this.typed ?? doc.strings(this.editor.doc);
  }

  /** The inputs that are not as they are by default; files as the server calls them. */
  given() {
    const prompts = Object.entries(this.strings);
    const filled = prompts.filter(([name, text]) => text && text !== this.facts.defaults[name]);
    return { ...Object.fromEntries(filled), ...this.look.form.given() };
  }

  asking(more = {}) {
    return { clip: this.clip.id, inputs: this.given(), ...more };
  }


  /** How the name of the result ends. */
  get suffix() {
    const { form } = this.look;
    if (this.clip?.kind === "shots") return ".zip"; // a result for each
    const [format, apart] = [form.value("output_format"), Number(form.value("separate_objects"))];
    const perObject = this.facts.exact.includes(form.value("mask_type"));
    const isOne = this.clip?.single && !apart && !(perObject && doc.countObjects(this.editor.doc) > 1);
    return (isOne && this.facts.pictures[format]?.[Number(perObject)]) || this.facts.suffixes[format][apart];
  }

  /** Ask for the masks of this frame and for what is stale: one question at a time, and of many only the last. */
  async sync() {
    this.#remember();
    this.again = true;
    if (this.inquiring || !this.opened) return;
    this.inquiring = true;
    document.body.dataset.asking = "1";
    while (this.again) {
      this.again = false;
      await this.trying(() => this.#ask());
    }
    this.inquiring = false;
    this.render();
  }

  /** For a page that is loaded anew; before the clip is open it may still have to take up what it knew before. */
  #remember() {
    if (this.opened || !doc.isEmpty(this.editor.doc)) remember(this.clip.id, this.given());
  }

  async #ask() {
    const { clip, frame } = this;
    const asked = this.editor.doc;
    if (doc.isEmpty(asked)) this.stale = {};
    else {
      const answer = await post("/api/preview", this.asking({ frame }));
      if (clip !== this.clip || asked !== this.editor.doc) return;
      this.#keepPreviews(asked, frame, answer);
      if (answer.edition !== this.edition) await this.readLanes();
    }
    this.render();
    this.answered = true;
  }

  #keepPreviews(asked, frame, answer) {
    this.stale = answer.stale;
    for (const [name, mask] of masksByName(answer)) {
      const object = asked.objects.find((one) => one.name === name);
      if (object) this.previews.set(object.id, { frame, clicks: doc.clicksOf(asked, object.id), marks: asked.marks, mask });
    }
  }

  /** A preview holds on its frame, as long as the files and the object's clicks are those that it was made from. */
  preview(id) {
    const found = this.previews.get(id);
    if (found?.frame !== this.frame || found.marks !== this.editor.doc.marks) return null;
    const clicks = doc.clicksOf(this.editor.doc, id);
    const same = clicks.length === found.clicks.length && clicks.every((click, index) => click === found.clicks[index]);
    return same ? found.mask : null;
  }

  /** Take up a request: a saved session, or that of before. What is refused stays as it was typed. */
  async read(inputs) {
    const { form } = this.look;
    for (const { name, default: value } of this.facts.inputs) form.set(name, inputs[name] ?? value);
    const { video, ...others } = inputs; // the clip that is open is the one that is meant
    const fields = [...doc.CLICK_FIELDS, ...doc.FILE_FIELDS];
    if (!["click_coordinates", ...doc.FILE_FIELDS].some((name) => inputs[name])) return;
    this.typed = Object.fromEntries(fields.map((name) => [name, inputs[name] ?? ""]));
    await this.#take({ ...others, ...form.given() });
  }

  /** Some of the strings are others; those of files among them. */
  async readStrings(typed) {
    if (!this.opened) return;
    this.typed = { ...this.strings, ...typed };
    this.#remember();
    const { click_coordinates, masks, boxes } = this.typed;
    if (!click_coordinates.trim() && !masks && !boxes) return this.editor.change({ ...this.editor.doc, clicks: [] });
    await this.trying(() => this.#take(this.given()));
  }

  async #take(inputs) {
    const { entries, files } = await post("/api/read", { clip: this.clip.id, inputs });
    this.editor.change(doc.fromEntries(entries, files));
  }

  setInput() {
    this.refusal = null;
    this.render();
    this.sync();
  }

  /** What is refused is shown where it belongs. A clip that was closed because nobody used it opens again. */
  async trying(action) {
    const { clip } = this;
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status !== 410) return this.say(error);
      await this.#openAgain();
      if (clip === this.clip && this.opened) return this.trying(action);
    }
  }

  /** Several calls may learn of it at once: the first one opens the clip, the others wait with it. */
  #openAgain() {
    if (!this.opening) {
      this.opened = false;
      this.opening = this.follow().finally(() => (this.opening = null));
    }
    return this.opening;
  }

  say(refusal) {
    this.refusal = refusal;
    this.render();
  }

  // What is seen.

  setView(view) {
    this.view = view;
    this.render();
  }

  nextView() {
    const names = Object.keys(VIEWS);
    this.setView(names[(names.indexOf(this.view) + 1) % names.length]);
  }

  toggleMasks() {
    this.masksOn = !this.masksOn;
    this.render();
  }

  toggleMarkers() {
    this.markersOn = !this.markersOn;
    this.render();
  }

  rename() {
    this.look.objects.edit(this.editor.active);
  }

  help() {
    $("help").showModal();
  }

  escape() {
    if (this.playing) this.pause();
    else if (this.takeMask()) return;
    else if (!this.stage.letGo()) this.work.stop();
  }

  /** The masks to be painted on the frame that is shown, each with its colour. */
  masksShown() {
    const visible = doc.ranked(this.editor.doc).filter((object) => this.masksOn && !this.editor.hidden.has(object.id));
    return visible
      .map(({ id, name }) => ({ mask: this.preview(id) ?? this.shown.masks.get(name), colour: this.colourOf(id) }))
      .filter(({ mask }) => mask);
  }

  markersShown() {
    const { doc: now, hidden } = this.editor;
    return now.clicks
      .filter((click) => this.markersOn && click.frame === this.frame && !hidden.has(click.object))
      .map((click) => ({ ...click, corrects: doc.isCorrection(now, click.object, click.frame), colour: this.colourOf(click.object) }));
  }

  /** The boxes of files are drawn as well. */
  boxesShown() {
    const { doc: now, hidden } = this.editor;
    const shown = now.objects.filter(({ id }) => this.markersOn && !hidden.has(id) && now.marks.boxes.get(id)?.has(this.frame));
    return shown.map(({ id }) => ({ at: now.marks.boxes.get(id).get(this.frame), colour: this.colourOf(id) }));
  }

  render() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.#render();
    });
  }

  #render() {
    const { clip, shown, editor } = this;
    const colourOf = (id) => this.colourOf(id);
    this.look.show();
    const times = { frames: clip?.frames ?? 0, frame: this.frame, lanes: this.lanes, stale: this.areImages ? {} : this.stale, fresh: this.fresh };
    this.timeline.show({ ...times, doc: editor.doc, colourOf });
    if (!shown) return;
    const scene = { bitmap: shown.picture.bitmap, shown: this.masksShown(), markers: [...this.boxesShown(), ...this.markersShown()], view: this.view };
    const { opacity } = this.facts;
    this.stage.show({ ...scene, opacity, colour: colourOf(editor.active), ground: this.look.form.value("background_color") });
  }

  /** Something is on the canvas now: this is what tests wait for. */
  painted() {
    this.look.showZoom();
    const { dataset } = document.body;
    dataset.frame = this.frame;
    dataset.draws = Number(dataset.draws ?? 0) + 1;
    if (this.answered) dataset.answers = Number(dataset.answers ?? 0) + 1;
    this.answered = false;
    if (!this.inquiring) delete dataset.asking;
  }
}

const app = new App();
app.start().catch((error) => {
  $("refusal").textContent = error.message;
  throw error;
});
