// The files of masks and boxes that the request names: each with a way to take it off, and the frames of the masks.

import { post } from "./api.js";
import { leaveOnEnter, make, refusalOf, refuse, say, symbol } from "./panel.js";
import { FILE_FIELDS, FILES, fileName } from "./request.js";

export class PromptFiles {
  constructor(box, app) {
    this.app = app;
    this.offered = {}; // FILE_FIELDS of a file that was offered and refused
    this.fields = new Map(FILE_FIELDS.map((name) => [name, FILES.includes(name) ? this.#file(name) : this.#frames(name)]));
    box.append(...[...this.fields.values()].map((field) => field.row));
  }

  #file(name) {
    const input = make("output", { id: name, tabIndex: 0 });
    const off = make("button", { className: "icon", onclick: () => this.takeOff(name) }, symbol("bin"));
    say(off, `Take the ${name} off`);
    return this.#field(name, input, off);
  }

  #frames(name) {
    const input = make("input", { id: name, spellcheck: false, autocomplete: "off" });
    input.title = "The frames of a zip whose masks are used, with commas; the frame that one picture is on";
    input.onchange = () => this.#choose(input.value.trim());
    leaveOnEnter(input);
    return this.#field(name, input);
  }

  #field(name, input, ...buttons) {
    const refusal = refusalOf(name, input);
    const label = make("label", { htmlFor: name, textContent: name });
    return { row: make("div", { className: "field" }, label, input, ...buttons, refusal), input, refusal };
  }

  show() {
    const { app } = this;
    const texts = { ...app.strings, ...this.offered };
    for (const [name, { row, input, refusal }] of this.fields) {
      const isFile = FILES.includes(name);
      row.hidden = !(isFile ? texts[name] : texts.masks) && app.refusal?.field !== name;
      if (isFile) input.textContent = fileName(texts[name]);
      else if (document.activeElement !== input) input.value = texts[name] ?? "";
      if (!isFile) input.placeholder = /\.zip$/i.test(texts.masks) ? "all" : "0";
      refuse(app, input, refusal, name);
    }
  }

  /** An uploaded file joins the request. A picture is on the frame that is shown, as a click is. */
  add(input, file) {
    const { app } = this;
    if (app.typed?.[input]) return app.readStrings({ [input]: file }); // a session waits for it
    const frame = /\.png$/i.test(file) && app.frame ? String(app.frame) : "";
    return this.#offer(input, { [input]: file, ...(input === "masks" && { mask_frames: frame }) });
  }

  /** Others of its frames count. */
  #choose(frames) {
    const { app } = this;
    if (app.typed?.masks) return app.readStrings({ mask_frames: frames });
    return this.#offer("masks", { masks: this.offered.masks ?? app.editor.doc.files.masks, mask_frames: frames });
  }

  /** `files`: an input that is a file, and what belongs to it. What is refused stays as it was offered. */
  #offer(input, files) {
    const { app } = this;
    this.offered = files;
    return app.trying(async () => {
      const filled = Object.entries(files).filter(([, text]) => text);
      const { entries } = await post("/api/read", { clip: app.clip.id, inputs: Object.fromEntries(filled) });
      app.editor.addFile(input, files, entries);
      const frames = entries.map((entry) => entry.frame);
      if (!frames.includes(app.frame)) await app.go(Math.min(...frames));
    });
  }

  /** Without a file: one that was refused, that a session lacks, or whose objects are here. */
  takeOff(input) {
    const { app } = this;
    if (app.typed?.[input]) return app.readStrings({ [input]: "", ...(input === "masks" && { mask_frames: "" }) });
    if (!this.offered[input] && app.editor.doc.files[input]) return app.editor.removeFile(input);
    this.offered = {};
    app.say(null);
  }
}
