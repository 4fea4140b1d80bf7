// Puts the state of the page on the screen: everything but the canvases.

import { VIEWS } from "./paint.js";
import { ObjectList, RequestView, ResultForm, say, symbol } from "./panel.js";
import { fileOf, isEmpty } from "./request.js";

const $ = (id) => document.getElementById(id);

export class View {
  constructor(app) {
    this.app = app;
    this.objects = new ObjectList($("objects"), $("lane-names"), app);
    this.request = new RequestView($("strings"), $("lines"), app);
    this.form = new ResultForm($("result"), app);
    for (const [name, title] of Object.entries(VIEWS)) choice($("views"), name, title, () => app.setView(name));
    choice($("kinds"), "corrects", "Correct the mask", () => app.editor.setKind(true));
    choice($("kinds"), "prompts", "New prompt", () => app.editor.setKind(false));
  }

  show() {
    const { app } = this;
    this.objects.show();
    app.prompts.show();
    this.request.show();
    this.form.show();
    this.#showClip();
    this.#showBar();
    this.#showKind();
    this.#showChoice();
    this.#showWork();
    $("hint").replaceChildren(...withKeys(this.hint()));
    const inFields = [app.prompts.fields, this.request.fields, this.form.inputs].some((fields) => fields.has(app.refusal?.field));
    $("refusal").textContent = app.refusal && !inFields ? app.refusal.message : "";
    enable("undo", app.editor.past.length);
    enable("redo", app.editor.future.length);
    document.body.dataset.state = app.state;
  }

  /** Why an object cannot be renamed or removed; "" when it can. */
  sayOfObjects(sentence) {
    $("name-refusal").textContent = sentence;
  }

  #showClip() {
    const { clip, facts, state } = this.app;
    const title = Object.assign(document.createElement("b"), { textContent: clip?.name ?? "" });
    const { width, height } = this.app.shown?.picture.bitmap ?? clip ?? {};
    const known = clip ? [`${width}×${height}`] : [];
    if (clip?.frames) known.push(`${clip.frames} ${this.app.noun}s`);
    if (clip?.frames && !this.app.areImages) known.push(`${Number(clip.fps.toFixed(2))} fps`);
    $("clip").replaceChildren(title, `  ${[...known, `model ${facts.model}`].join(" · ")}`);
    $("empty").hidden = Boolean(clip) || state === "opening";
    $("busy").hidden = state !== "opening";
    $("busy-text").textContent = clip ? "Counting the frames …" : "Opening …";
    for (const name of ["save", "load", "new"]) enable(name, clip);
    enable("attach", this.app.opened);
  }

  #showBar() {
    const { clip, shown, frame, playing } = this.app;
    if (document.activeElement !== $("frame")) $("frame").value = frame;
    const { label, seconds = 0 } = shown?.picture ?? {};
    $("noun").textContent = this.app.areImages ? "Image" : "Frame";
    $("of").textContent = clip?.frames ? `of ${clip.frames - 1} · ${label || `${seconds.toFixed(2)} s`}` : "";
    for (const name of ["first", "back", "play", "next", "last"]) enable(name, clip?.frames);
    if (this.app.areImages) enable("play", false);
    $("play").replaceChildren(symbol(playing ? "pause" : "play"));
    say($("play"), playing ? "Pause" : "Play");
    press($("views"), this.app.view);
    $("markers").setAttribute("aria-pressed", String(this.app.markersOn));
    this.showZoom();
  }

  showZoom() {
    const { stage } = this.app;
    $("zoom").textContent = stage.clip ? `${Math.round(100 * stage.place.sy)} %` : "Fit";
  }

  #showKind() {
    const { editor } = this.app;
    $("kind").hidden = !editor.canCorrect();
    press($("kinds"), editor.kindHere() ? "corrects" : "prompts");
    $("kind-text").textContent = editor.kindHere()
      ? "A click here corrects the tracked mask, from this frame on. The frames before stay as they are."
      : "A click here starts the mask anew, from the click alone. All frames are tracked again.";
  }

  #showChoice() {
    const { app } = this;
    const chosen = app.chosen();
    $("choice").hidden = !app.opened || !app.editor.choosing;
    $("choice").textContent = `Mask ${chosen ? chosen.place + 1 : 1}/3`;
    say($("choice"), "Another mask for this click (Tab)");
  }

  #showWork() {
    const { app } = this;
    const { now } = app.work;
    const canWork = app.opened && !now && !isEmpty(app.editor.doc);
    const isStale = Object.keys(app.stale).length > 0;
    enable("track", canWork);
    enable("download", canWork);
    enable("stop", now && now.what !== "Uploading");
    $("track").classList.toggle("main", !canWork || isStale);
    $("download").classList.toggle("main", Boolean(canWork) && !isStale);
    $("download").querySelector("span").textContent = `${isStale ? "Track and download" : "Download"} ${app.suffix}`;
    $("progress").value = app.work.share;
    $("status").textContent = app.work.pace;
    document.body.dataset.working = now ? now.what : "";
  }

  /** One line: what to do now. Keys stand in backquotes. */
  hint() {
    const { app } = this;
    const { clip, state, work, stale, lanes, editor } = app;
    const { clicks, objects } = editor.doc;
    const names = Object.keys(stale);
    if (state === "opening") return clip ? "You can click already; masks come when the frames are counted." : "Opening the clip …";
    if (!clip) return "Open a video to begin.";
    if (work.isTracking) return "Tracking: `Esc` stops it. You can look around and click meanwhile.";
    if (work.now) return `${work.now.what} …`;
    if (app.chosen() && !app.isTaken()) return `${score(app.chosen())} \`Tab\` shows the next one, \`Enter\` takes it.`;
    if (app.areImages && !isEmpty(editor.doc)) {
      if (names.length) return `${names.join(", ")}: \`T\` finds them on the images that were not looked at with their clicks.`;
      return "Each click counts for its image alone, and what you see is the result. `←` `→` go from image to image, `N` adds an object, `D` downloads.";
    }
    if (isEmpty(editor.doc)) return "Click the thing to follow. Right click takes away what is too much; drag a box around a whole thing.";
    if (!clicks.some((click) => click.label) && !objects.some(({ id }) => fileOf(editor.doc, id))) return "Click on the thing itself, too: so far there are only background clicks.";
    if (!lanes.size) return "Click where the mask lacks something, right click where it is too much, `Tab` for another one. `N` adds an object, `T` tracks.";
    if (names.length) return `${names.join(", ")} changed: \`T\` tracks again from frame ${Math.min(...Object.values(stale))}.`;
    return "Look through it with `←` `→` or `Space`. Where a mask is wrong, click: it is corrected from there on.";
  }
}

const score = ({ place, order }) => `Mask ${place + 1} of ${order.length} for this click, score ${order[place].score.toFixed(2)}.`;

function choice(group, name, title, act) {
  group.append(Object.assign(document.createElement("button"), { textContent: title, value: name, onclick: act }));
}

const press = (group, name) => {
  for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === name));
};

export const enable = (name, is) => {
  for (const button of document.querySelectorAll(`[data-do=${name}]`)) button.disabled = !is;
};

/** `Key` in a text becomes a key. */
const withKeys = (text) =>
  text.split("`").map((part, index) => (index % 2 ? Object.assign(document.createElement("kbd"), { textContent: part }) : part));
