// Files that come and go: clips that are uploaded, sessions that are saved and loaded again.

import { Refusal, upload } from "./api.js";
import { keep } from "./work.js";

const $ = (id) => document.getElementById(id);

export class Files {
  constructor(app) {
    this.app = app;
    $("video-file").onchange = (event) => this.#upload(event.target.files[0]);
    $("session-file").onchange = (event) => this.#read(event.target.files[0]);
    document.addEventListener("dragover", (event) => (event.preventDefault(), $("stage").classList.add("over")));
    document.addEventListener("dragleave", () => $("stage").classList.remove("over"));
    document.addEventListener("drop", (event) => this.#drop(event));
  }

  open() {
    pick("video-file");
  }

  load() {
    if (this.app.clip) pick("session-file");
  }

  /** The request as JSON, as it can be sent over HTTP too. */
  save() {
    const { clip } = this.app;
    if (!clip) return;
    const text = JSON.stringify({ input: { video: clip.video, ...this.app.given() } }, null, 2) + "\n";
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    keep(address, clip.name.replace(/\.[^.]*$/, "") + ".json");
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  #drop(event) {
    event.preventDefault();
    $("stage").classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file?.name.endsWith(".json")) this.#read(file);
    else this.#upload(file);
  }

  async #upload(file) {
    if (!file) return;
    await this.app.work.run("Uploading", 1, (progress) => upload(file, progress));
    await this.app.follow();
  }

  async #read(file) {
    if (!file) return;
    await this.app.trying(async () => {
      const { input } = await file.text().then(JSON.parse).catch(() => ({}));
      if (typeof input?.click_coordinates !== "string")
        throw new Refusal(`${file.name} is no saved session: it has no "input" with "click_coordinates"`);
      await this.app.read(input);
      const other = input.video && input.video !== this.app.clip.video;
      this.app.work.note = other ? `This session was saved for ${input.video}.` : "";
    });
  }
}

function pick(id) {
  $(id).value = ""; // or the same file twice would be no change
  $(id).click();
}
