// Files that come and go: clips and prompt files that are uploaded, sessions that are saved and loaded again.

import { Refusal, upload } from "./api.js";
import { said } from "./request.js";
import { keep } from "./work.js";
import { zipped } from "./zip.js";

const $ = (id) => document.getElementById(id);

export class Files {
  constructor(app) {
    this.app = app;
    $("video-file").onchange = (event) => this.#openAll([...event.target.files]);
    $("prompt-file").onchange = (event) => this.#attach(event.target.files[0]);
    $("session-file").onchange = (event) => this.#read(event.target.files[0]);
    document.addEventListener("dragover", (event) => (event.preventDefault(), $("stage").classList.add("over")));
    document.addEventListener("dragleave", () => $("stage").classList.remove("over"));
    document.addEventListener("drop", (event) => this.#drop(event));
  }

  open() {
    pick("video-file");
  }

  attach() {
    if (this.app.opened) pick("prompt-file");
  }

  load() {
    if (this.app.clip) pick("session-file");
  }

  /** The request as JSON, as it can be sent over HTTP too. */
  save() {
    const { clip } = this.app;
    if (!clip) return;
    const text = JSON.stringify({ input: { video: clip.video, ...said(this.app.given()) } }, null, 2) + "\n";
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    keep(address, clip.name.replace(/\.[^.]*$/, "") + ".json");
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  async #drop(event) {
    event.preventDefault();
    $("stage").classList.remove("over");
    const [file, ...more] = event.dataTransfer.files;
    if (!file) return;
    if (more.length) this.#openAll([file, ...more]);
    else if (this.app.opened && (await holdsPrompts(file))) this.#attach(file);
    else if (this.app.clip && /\.json$/i.test(file.name)) this.#read(file);
    else this.#openAll([file]);
  }

  async #openAll(files) {
    if (!files.length) return;
    await this.app.work.run("Uploading", 1, async (progress) => upload("/api/upload?", await this.#asOne(files), progress));
    await this.app.follow();
  }

  /** Several files are opened as a .zip of them is. */
  async #asOne(files) {
    if (files.length === 1) return files[0];
    const kinds = new Set(files.map((file) => file.type.split("/")[0]));
    if (kinds.size > 1 || !(kinds.has("image") || kinds.has("video")))
      throw new Refusal("Several files open together if all are images or all are videos: drop others one by one.");
    if (this.app.opened && (await Promise.all(files.map(holdsPrompts))).some(Boolean))
      throw new Refusal("Masks and boxes join the clip one file at a time: drop them one by one, or masks as a .zip.");
    return zipped(files, kinds.has("image") ? "images.zip" : "shots.zip");
  }

  /** Masks or boxes for the clip that is open, also while it is tracked. */
  async #attach(file) {
    if (!file) return;
    const input = /\.(csv|txt|json)$/i.test(file.name) ? "boxes" : "masks";
    const { clip, work } = this.app;
    const action = async (progress) => {
      const answer = await upload(`/api/prompts?clip=${clip.id}&input=${input}&`, file, progress);
      await this.app.prompts.add(input, answer.file);
    };
    await (work.now ? this.app.trying(() => action(() => {})) : work.run("Uploading", 1, action));
  }

  async #read(file) {
    if (!file) return;
    await this.app.trying(async () => {
      const { input } = (await json(file)) ?? {};
      if (![input?.click_coordinates, input?.masks, input?.boxes].some((text) => typeof text === "string"))
        throw new Refusal(`${file.name} is no saved session: it has no "input" with "click_coordinates", "masks" or "boxes"`);
      await this.app.read(input);
      const other = input.video && input.video !== this.app.clip.video;
      this.app.work.note = other ? `This session was saved for ${input.video}.` : "";
    });
  }
}

const json = (file) => file.text().then(JSON.parse).catch(() => null);

const MASK_WITHIN = /masks\/[^/]+\/\d+\.png/;
const COLOUR_TYPE = 25; // the byte of a PNG that says how many channels it has
const ONE_CHANNEL = [0, 3]; // grey, indexed
const LIST_OF_ZIP = 1 << 16; // bytes at the end of a zip, in which it lists its files

/** Whether a file that was dropped is of masks or boxes for the open clip, as far as can be seen before it is sent. */
async function holdsPrompts(file) {
  const name = file.name.toLowerCase();
  if (/\.(csv|txt)$/.test(name)) return true;
  if (name.endsWith(".json")) return !(await json(file))?.input;
  if (name.endsWith(".zip")) return MASK_WITHIN.test(await file.slice(-LIST_OF_ZIP).text());
  const [type] = new Uint8Array(await file.slice(COLOUR_TYPE, COLOUR_TYPE + 1).arrayBuffer());
  return name.endsWith(".png") && ONE_CHANNEL.includes(type);
}

function pick(id) {
  $(id).value = ""; // or the same file twice would be no change
  $(id).click();
}
