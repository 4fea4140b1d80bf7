// What stands beside the clip: the objects, the request with its copy buttons, and the form of the result.

import { CLICK_FIELDS, commands, said } from "./request.js";

export const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

export function symbol(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/assets/symbols.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Enter ends the typing; what was typed counts then. */
export function leaveOnEnter(field) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    field.blur();
  });
}

/** Say what a button does to those who do not see its picture, and to those who rest on it. */
export const say = (element, text) => {
  element.setAttribute("aria-label", text);
  element.title = text;
};

export class ObjectList {
  constructor(list, names, app) {
    Object.assign(this, { list, names, app, rows: new Map() });
  }

  /** Rows are kept, so that a name that is being typed keeps its cursor. */
  show() {
    const { clip, editor } = this.app;
    const objects = clip ? editor.doc.objects : [];
    const rows = objects.map((object) => this.rows.get(object.id) ?? this.#row(object.id));
    this.rows = new Map(objects.map((object, index) => [object.id, rows[index]]));
    objects.forEach((object, index) => this.#fill(rows[index], object, index));
    const elements = rows.map((row) => row.element);
    if (elements.some((element, index) => this.list.children[index] !== element) || this.list.children.length !== elements.length)
      this.list.replaceChildren(...elements);
    this.names.replaceChildren(...objects.map((object) => this.#laneName(object)));
    if (this.active !== editor.active) this.rows.get(editor.active)?.element.scrollIntoView({ block: "nearest" });
    this.active = editor.active;
  }

  /** Put the cursor into an object's name. */
  edit(id) {
    const row = this.rows.get(id);
    row?.name.focus();
    row?.name.select();
  }

  #row(id) {
    const { app } = this;
    const name = make("input", { maxLength: 64, spellcheck: false, autocomplete: "off" });
    name.onfocus = () => app.editor.select(id);
    leaveOnEnter(name);
    name.onchange = () => {
      app.look.sayOfObjects(app.editor.rename(id, name.value));
      this.show();
    };
    const eye = make("button", { className: "icon", onclick: () => app.editor.toggleEye(id) });
    const bin = make("button", { className: "icon", onclick: () => app.remove(id) }, symbol("bin"));
    const [number, swatch] = [make("span", { className: "number" }), make("span", { className: "swatch" })];
    const element = make("li", {}, number, swatch, name, eye, bin);
    element.onpointerdown = (event) => event.target.closest("button") || app.editor.select(id);
    return { element, number, swatch, name, eye, bin };
  }

  #fill(row, object, index) {
    const { app } = this;
    const hidden = app.editor.hidden.has(object.id);
    row.element.classList.toggle("on", object.id === app.editor.active);
    row.number.textContent = index < 9 ? index + 1 : "";
    row.swatch.style.background = app.colourOf(object.id);
    row.name.setAttribute("aria-label", `Name of object ${index + 1}`);
    if (document.activeElement !== row.name) row.name.value = object.name;
    row.eye.replaceChildren(symbol(hidden ? "eye-off" : "eye"));
    row.eye.setAttribute("aria-pressed", String(!hidden));
    say(row.eye, `Show ${object.name}`);
    say(row.bin, `Remove ${object.name}`);
  }

  #laneName(object) {
    const { app } = this;
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = app.colourOf(object.id);
    const button = make("button", { onclick: () => app.editor.select(object.id), title: object.name }, swatch, make("span", { textContent: object.name }));
    button.setAttribute("aria-pressed", String(object.id === app.editor.active));
    return make("li", {}, button);
  }
}

export class RequestView {
  constructor(stringsBox, linesBox, app) {
    this.app = app;
    this.fields = new Map(CLICK_FIELDS.map((name) => [name, this.#field(name)]));
    stringsBox.append(...[...this.fields.values()].map((field) => field.row));
    this.linesBox = linesBox;
    this.outputs = new Map();
  }

  #field(name) {
    const input = make("textarea", { id: name, rows: 1, spellcheck: false, autocomplete: "off" });
    input.placeholder = this.app.facts.defaults[name] ?? "";
    input.onchange = () => this.app.readStrings(Object.fromEntries(CLICK_FIELDS.map((key) => [key, this.fields.get(key).input.value])));
    leaveOnEnter(input);
    const refusal = refusalOf(name, input);
    const label = make("label", { htmlFor: name, textContent: name });
    return { row: make("div", { className: "field" }, label, input, copyButton(name, () => input.value), refusal), input, refusal };
  }

  show() {
    const { app } = this;
    const { strings } = app;
    for (const [name, { input, refusal }] of this.fields) {
      if (document.activeElement !== input) input.value = strings[name];
      refuse(app, input, refusal, name);
    }
    const lines = app.clip ? commands(said(app.given()), app.clip.video, app.facts.model, app.suffix) : {};
    for (const [title, text] of Object.entries(lines)) this.#line(title).textContent = text;
  }

  #line(title) {
    if (!this.outputs.has(title)) {
      const output = make("output", { tabIndex: 0 });
      output.setAttribute("aria-label", title);
      output.dataset.line = title;
      this.linesBox.append(make("div", { className: "field" }, make("span", { textContent: title }), output, copyButton(title, () => output.textContent)));
      this.outputs.set(title, output);
    }
    return this.outputs.get(title);
  }
}

/** Where the refusal of an input stands, below its field. */
export function refusalOf(name, input) {
  const refusal = make("p", { className: "refusal", id: `${name}-refusal` });
  refusal.setAttribute("role", "alert");
  input.setAttribute("aria-describedby", refusal.id);
  return refusal;
}

/** Say what is refused of an input, or nothing more. */
export function refuse(app, input, refusal, name) {
  const sentence = app.refusal?.field === name ? app.refusal.message : "";
  if (refusal.textContent !== sentence) refusal.textContent = sentence;
  input.setAttribute("aria-invalid", String(Boolean(sentence)));
}

function copyButton(title, text) {
  const button = make("button", { className: "icon" }, symbol("copy"));
  button.dataset.copy = title;
  say(button, `Copy: ${title}`);
  button.onclick = async () => {
    await copy(text());
    button.replaceChildren(symbol("done"));
    button.classList.add("done");
    setTimeout(() => (button.replaceChildren(symbol("copy")), button.classList.remove("done")), 1500);
  };
  return button;
}

/** The clipboard of the browser is there only on localhost and https; elsewhere the older way. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = make("textarea", { value: text });
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

const FIRST = ["output_format", "mask_type"];

/** The form of all inputs that are no clicks, as the server describes them. */
export class ResultForm {
  constructor(form, app) {
    this.form = form;
    this.app = app;
    this.inputs = new Map();
    form.onsubmit = (event) => event.preventDefault();
  }

  build(inputs) {
    const more = make("details", {}, make("summary", { textContent: "More" }));
    const rest = make("div", { className: "grid" });
    more.append(rest);
    for (const input of [...inputs].sort((a, b) => FIRST.includes(b.name) - FIRST.includes(a.name)))
      (FIRST.includes(input.name) ? this.form : rest).append(this.#field(input));
    this.form.append(more);
  }

  #field({ name, default: value, description, choices, low, high }) {
    const kind = typeof value;
    const field = choices.length
      ? make("select", {}, ...choices.map((choice) => make("option", { value: choice, textContent: choice })))
      : make("input", kind === "boolean" ? { type: "checkbox" } : { inputMode: kind === "number" ? "decimal" : "text", autocomplete: "off" });
    field.name = name;
    field.title = description + (low === null ? "" : ` (from ${low}${high === null ? "" : ` to ${high}`})`);
    field.onchange = () => this.app.setInput();
    const refusal = make("span", { className: "refusal" });
    refusal.setAttribute("role", "alert");
    this.inputs.set(name, { field, refusal, kind, standard: value });
    this.set(name, value);
    return make("label", {}, name.replaceAll("_", " "), field, refusal);
  }

  set(name, value) {
    const { field, kind } = this.inputs.get(name);
    if (kind === "boolean") field.checked = value === true;
    else field.value = value;
  }

  /** Let only these choices of an input be taken, all of them without any. */
  allow(name, choices) {
    const { field } = this.inputs.get(name);
    for (const option of field.options) option.disabled = Boolean(choices) && !choices.includes(option.value);
    if (field.selectedOptions[0]?.disabled) field.value = choices[0];
  }

  /** The value of an input. A number that is none stays a text, to be refused in the server's words. */
  value(name) {
    const { field, kind } = this.inputs.get(name);
    if (kind === "boolean") return field.checked;
    const text = field.value.trim();
    return kind === "number" && text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
  }

  /** What is not as it is by default. */
  given() {
    const values = [...this.inputs].map(([name, { standard }]) => [name, this.value(name), standard]);
    return Object.fromEntries(values.filter(([, value, standard]) => value !== standard));
  }

  show() {
    for (const [name, { field, refusal }] of this.inputs) {
      const sentence = this.app.refusal?.field === name ? this.app.refusal.message : "";
      if (refusal.textContent !== sentence) refusal.textContent = sentence;
      field.setAttribute("aria-invalid", String(Boolean(sentence)));
      if (sentence) field.closest("details")?.setAttribute("open", "");
    }
  }
}
