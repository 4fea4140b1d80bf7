// Objects and clicks as they are edited: which object is chosen, what a click means, and the way back.

import * as doc from "./request.js";

export class Editor {
  /** `app`: {frame, isTracked(name, frame), changed(), render()}; `changed` when clicks or objects are others. */
  constructor(app) {
    this.app = app;
    this.hidden = new Set();
    this.corrects = true;
    this.reset(doc.EMPTY);
  }

  /** Begin with this document: there is nothing to undo. */
  reset(start) {
    [this.doc, this.past, this.future, this.active] = [start, [], [], 0];
    this.hidden.clear();
    if (!start.objects.length) [this.doc, this.active] = doc.withObject(start);
  }

  change(changed) {
    this.past.push(this.doc);
    this.future = [];
    this.#turnTo(changed);
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.doc);
    this.#turnTo(this.past.pop());
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.doc);
    this.#turnTo(this.future.pop());
  }

  #turnTo(changed) {
    this.doc = changed;
    if (!this.object) this.active = changed.objects.at(-1)?.id ?? 0;
    this.app.changed();
  }

  // Objects.

  get object() {
    return this.doc.objects.find((object) => object.id === this.active);
  }

  add() {
    const [changed, id] = doc.withObject(this.doc);
    this.active = id;
    this.change(changed);
  }

  select(id) {
    if (this.active === id) return;
    this.active = id;
    this.app.render();
  }

  choose(index) {
    const object = this.doc.objects[index];
    if (object) this.select(object.id);
  }

  /** Returns why a name cannot be taken, or "": it stands in a list with commas, and one name is one object. */
  rename(id, text) {
    const name = text.trim().replace(/\s+/g, " ");
    const others = this.doc.objects.filter((object) => object.id !== id);
    if (!name) return "An object needs a name.";
    if (name.includes(",")) return "A name has no commas.";
    if (others.some((object) => object.name === name)) return `There is an object named ${name} already.`;
    const isOther = this.doc.objects.find((object) => object.id === id).name !== name;
    if (isOther && doc.fileOf(this.doc, id)) return `The name comes from ${this.#fileOf(id)}.`;
    if (isOther) this.change(doc.renamed(this.doc, id, name));
    return "";
  }

  toggleEye(id) {
    if (!this.hidden.delete(id)) this.hidden.add(id);
    this.app.render();
  }

  /** Returns why an object cannot be removed, or "". */
  remove(id) {
    const index = this.doc.objects.findIndex((object) => object.id === id);
    if (index < 0) return "";
    if (doc.fileOf(this.doc, id)) return `${this.doc.objects[index].name} is in ${this.#fileOf(id)}: take the file off to remove it.`;
    let changed = doc.withoutObject(this.doc, id);
    if (!changed.objects.length) [changed] = doc.withObject(changed);
    if (this.active === id) this.active = changed.objects[Math.min(index, changed.objects.length - 1)].id;
    this.change(changed);
    return "";
  }

  #fileOf(id) {
    return doc.fileName(this.doc.files[doc.fileOf(this.doc, id)]);
  }

  // Files of masks and boxes.

  /** `files`: the input and what belongs to it, as the request names them; `entries`: what the server reads there. */
  addFile(input, files, entries) {
    const changed = doc.withFile(this.doc, input, files, entries);
    if (!changed.objects.some((object) => object.id === this.active)) [this.active] = changed.marks[input].keys();
    this.change(changed);
  }

  removeFile(input) {
    let changed = doc.withoutFile(this.doc, input);
    if (!changed.objects.length) [changed] = doc.withObject(changed);
    this.change(changed);
  }

  // Clicks.

  /** `at`: a pixel or a box of the frame that is shown. Without a chosen object there is one more. */
  click(at, label) {
    if (!this.object) this.add();
    this.change(doc.withClick(this.doc, this.active, this.app.frame, at, label, label ? this.kindHere() : this.#marked()));
  }

  /** The click whose mask can be chosen, on the frame that is shown. */
  get choosing() {
    return doc.choosing(this.doc, this.active, this.app.frame);
  }

  /** Going through the masks of a click is one step for undo. */
  chooseMask(candidate) {
    const changed = doc.withCandidate(this.doc, this.choosing, candidate);
    if (this.doc === this.tried) this.#turnTo((this.tried = changed));
    else this.change((this.tried = changed));
  }

  clearFrame() {
    if (this.#here().length) this.change(doc.withoutFrame(this.doc, this.active, this.app.frame));
  }

  #here() {
    return doc.clicksOf(this.doc, this.active, this.app.frame);
  }

  /** Whether the clicks of the object on this frame are marked as corrections. */
  #marked() {
    return this.#here().some((click) => click.corrects);
  }

  /** Whether a foreground click here corrects: as those that are here do, else as chosen, where there is a mask. */
  kindHere() {
    return this.#here().some((click) => click.label) ? this.#marked() : this.corrects && this.canCorrect();
  }

  canCorrect() {
    const { frame } = this.app;
    if (doc.marksOf(this.doc, this.active, frame).length) return false; // clicks beside a mask refine it
    return !this.app.areImages && this.app.isTracked(this.object?.name, frame) && doc.isPromptedElsewhere(this.doc, this.active, frame);
  }

  setKind(corrects) {
    this.corrects = corrects;
    const other = this.#here().some((click) => click.label) && this.#marked() !== corrects;
    if (other && this.canCorrect()) this.change(doc.withKind(this.doc, this.active, this.app.frame, corrects));
    else this.app.render();
  }

  toggleKind() {
    if (this.canCorrect()) this.setKind(!this.kindHere());
  }
}
