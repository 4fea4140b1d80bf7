// What is asked for: objects and clicks, never changed in place, and the strings and commands that say the same.
// The rules are the server's; here clicks are only put in order.

export const CLICK_FIELDS = [
  "click_coordinates", "click_labels", "click_frames", "click_object_ids", "click_corrections", "click_candidates",
];

/** The inputs that are files beside the clip, and those with which frames of the masks are meant. */
export const FILES = ["masks", "boxes"];
export const FILE_FIELDS = ["masks", "mask_frames", "boxes"];

/**
 * A document: objects `{id, name}`, clicks `{object, frame, at, label, corrects, candidate}`, whose `at` has two or four
 * numbers, and `files`: what FILE_FIELDS are. `marks`: for each of FILES what it tells, object id -> frame -> box or null.
 */
export const EMPTY = { objects: [], clicks: [], files: {}, marks: { masks: new Map(), boxes: new Map() } };

export const isEmpty = (doc) => !doc.clicks.length && FILES.every((input) => !doc.marks[input].size);

/** The file that tells of an object, as its input, or undefined. */
export const fileOf = (doc, id) => FILES.find((input) => doc.marks[input].has(id));

/** What files tell of an object on a frame: boxes, and null for a mask. */
export const marksOf = (doc, id, frame) =>
  FILES.map((input) => doc.marks[input].get(id)?.get(frame)).filter((mark) => mark !== undefined);

/** The frames on which an object has clicks, or files tell of it. */
export const framesOf = (doc, id) =>
  new Set([...clicksOf(doc, id).map((click) => click.frame), ...FILES.flatMap((input) => [...(doc.marks[input].get(id)?.keys() ?? [])])]);

const isFound = (doc, id) => Boolean(fileOf(doc, id)) || doc.clicks.some((click) => click.object === id && click.label === 1);

/** The objects as the result numbers them: those that are clicked in the order of the list, then the files'; then the others, which it lacks. */
export function ranked(doc) {
  const clicked = doc.objects.filter(({ id }) => isFound(doc, id) && doc.clicks.some((click) => click.object === id));
  const filed = FILES.flatMap((input) => [...doc.marks[input].keys()]).map((id) => doc.objects.find((object) => object.id === id));
  return [...new Set([...clicked, ...filed, ...doc.objects])];
}

export const countObjects = (doc) => doc.objects.filter(({ id }) => isFound(doc, id)).length;

export const clicksOf = (doc, id, frame) =>
  doc.clicks.filter((click) => click.object === id && (frame === undefined || click.frame === frame));

/** The frames with anything on them, ascending. */
export const promptedFrames = (doc) =>
  [...new Set(doc.objects.flatMap(({ id }) => [...framesOf(doc, id)]))].sort((a, b) => a - b);

/** Whether an object has a prompt on any frame but this one, so that it can be tracked up to here. */
export const isPromptedElsewhere = (doc, id, frame) =>
  clicksOf(doc, id).some((click) => click.frame !== frame && click.label === 1 && !click.corrects) ||
  FILES.some((input) => [...(doc.marks[input].get(id)?.keys() ?? [])].some((other) => other !== frame));

/** Whether the clicks of an object on a frame correct: as they are marked, and background clicks alone do where no file tells of it. */
export function isCorrection(doc, id, frame) {
  const clicks = clicksOf(doc, id, frame);
  if (marksOf(doc, id, frame).length) return false;
  return clicks.some((click) => click.corrects) || clicks.every((click) => !click.label);
}

/** All clicks of an object on a frame are of one kind; a box is never a correction, and leaves no choice of masks. */
export function withKind(doc, id, frame, corrects) {
  const boxed = clicksOf(doc, id, frame).some((click) => click.at.length === 4);
  const clicks = doc.clicks.map((click) => {
    if (click.object !== id || click.frame !== frame) return click;
    return { ...click, corrects: corrects && !boxed, candidate: corrects || boxed ? 0 : click.candidate };
  });
  return { ...doc, clicks };
}

/** The one click of an object on a frame that has a choice of masks: it starts the object, and stands alone. */
export function choosing(doc, id, frame) {
  const [click, ...others] = clicksOf(doc, id, frame);
  const isAlone = !others.length && !marksOf(doc, id, frame).length;
  return click?.label && !click.corrects && click.at.length === 2 && isAlone ? click : null;
}

export const withCandidate = (doc, chosen, candidate) => ({
  ...doc,
  clicks: doc.clicks.map((click) => (click === chosen ? { ...click, candidate } : click)),
});

/** One click more; a second box of an object on a frame takes the place of the first. */
export function withClick(doc, id, frame, at, label, corrects) {
  const kept = doc.clicks.filter(
    (click) => !(at.length === 4 && click.at.length === 4 && click.object === id && click.frame === frame),
  );
  return withKind({ ...doc, clicks: [...kept, { object: id, frame, at, label, corrects, candidate: 0 }] }, id, frame, corrects);
}

export const withoutFrame = (doc, id, frame) => ({
  ...doc,
  clicks: doc.clicks.filter((click) => click.object !== id || click.frame !== frame),
});

export const withoutObject = (doc, id) => ({
  ...doc,
  objects: doc.objects.filter((object) => object.id !== id),
  clicks: doc.clicks.filter((click) => click.object !== id),
});

export const renamed = (doc, id, name) => ({
  ...doc,
  objects: doc.objects.map((object) => (object.id === id ? { ...object, name } : object)),
});

/** The next name `object_<number>` that no object has, nor any of the `others`. */
function freeName(doc, others = new Set()) {
  const names = new Set([...doc.objects.map((object) => object.name), ...others]);
  let number = doc.objects.length + 1;
  while (names.has(`object_${number}`)) number++;
  return `object_${number}`;
}

export function withObject(doc) {
  const id = 1 + Math.max(0, ...doc.objects.map((object) => object.id));
  return [{ ...doc, objects: [...doc.objects, { id, name: freeName(doc) }] }, id];
}

/** The server's reading of a request, entries `{input, name, frame, at, label, corrects, candidate}`, as a document. */
export function fromEntries(entries, files) {
  const ids = new Map();
  for (const { name } of entries) if (!ids.has(name)) ids.set(name, ids.size + 1);
  const objects = [...ids].map(([name, id]) => ({ id, name }));
  const clicks = entries
    .filter(({ input }) => !FILES.includes(input))
    .map(({ input, name, ...click }) => ({ ...click, object: ids.get(name) }));
  const marks = Object.fromEntries(FILES.map((input) => [input, marksFrom(entries, input, ids)]));
  return { objects, clicks, files, marks };
}

/** What one file tells; `ids`: name -> object id. */
function marksFrom(entries, input, ids) {
  const marks = new Map();
  for (const entry of entries.filter((one) => one.input === input)) {
    const id = ids.get(entry.name);
    if (!marks.has(id)) marks.set(id, new Map());
    marks.get(id).set(entry.frame, entry.at);
  }
  return marks;
}

/**
 * A file's objects join, in the place of what this input told before. An object that is clicked already and only numbered
 * makes way for one of the file that has its name: nobody has said that they are one.
 */
export function withFile(doc, input, files, entries) {
  const names = new Set(entries.map((entry) => entry.name));
  const numbered = doc.objects.filter(
    ({ id, name }) => names.has(name) && /^object_\d+$/.test(name) && clicksOf(doc, id).length && !fileOf(doc, id),
  );
  for (const { id } of numbered) doc = renamed(doc, id, freeName(doc, names));
  let id = Math.max(0, ...doc.objects.map((object) => object.id));
  const known = new Set(doc.objects.map((object) => object.name));
  const more = [...names].filter((name) => !known.has(name)).map((name) => ({ id: ++id, name }));
  const objects = [...doc.objects, ...more];
  const marks = marksFrom(entries, input, new Map(objects.map((object) => [object.name, object.id])));
  return withoutIdle({ ...doc, objects, files: { ...doc.files, ...files }, marks: { ...doc.marks, [input]: marks } });
}

/** Without a file, and without the objects that nothing else tells of. */
export function withoutFile(doc, input) {
  const files = { ...doc.files, [input]: "", ...(input === "masks" && { mask_frames: "" }) };
  const lacks = (id) => doc.marks[input].has(id) && !clicksOf(doc, id).length;
  const marks = { ...doc.marks, [input]: new Map() };
  const objects = doc.objects.filter(({ id }) => !lacks(id) || FILES.some((other) => marks[other].has(id)));
  return { ...doc, objects, files, marks };
}

/** Without objects that nothing tells of. */
const withoutIdle = (doc) => ({ ...doc, objects: doc.objects.filter(({ id }) => fileOf(doc, id) || clicksOf(doc, id).length) });

/** The click strings of a document, each aligned with the others, and its files. */
export function strings(doc) {
  const names = new Map(doc.objects.map((object) => [object.id, object.name]));
  const clicks = ranked(doc).flatMap((object) => clicksOf(doc, object.id));
  const list = (value) => clicks.map(value).join(",");
  return {
    click_coordinates: list((click) => `[${click.at.join(",")}]`),
    click_labels: list((click) => click.label),
    click_frames: list((click) => click.frame),
    click_object_ids: list((click) => names.get(click.object)),
    click_corrections: clicks.some((click) => click.corrects) ? list((click) => Number(click.corrects)) : "",
    click_candidates: clicks.some((click) => click.candidate) ? list((click) => click.candidate) : "",
    ...Object.fromEntries(FILE_FIELDS.map((name) => [name, doc.files[name] ?? ""])),
  };
}

/** The inputs with the names that their files have elsewhere. */
export const said = (given) =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [name, FILES.includes(name) ? fileName(value) : value]));

/** The name of a file, of which the server also knows the folder that it keeps it in. */
export const fileName = (file) => (file ?? "").replace(/^.*\//, "");

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** The same request as a command, for Cog and over HTTP. `given`: the inputs that are not as they are by default. */
export function commands(given, video, model, suffix) {
  const output = `${video.replace(/^.*\//, "").replace(/\.[^.]*$/, "")}_result${suffix}`;
  const inputs = Object.entries(given);
  const flag = (name, value) => `--${name.replaceAll("_", "-")}${value === true ? "" : ` ${quoted(String(value))}`}`;
  const flags = inputs.map(([name, value]) => flag(name, value));
  const cogInputs = inputs.map(([name, value]) => `-i ${quoted(`${name}=${FILES.includes(name) ? "@" : ""}${value}`)}`);
  const body = quoted(JSON.stringify({ input: { video, ...given } }));
  return {
    "Command line": ["sam2-cog segment", quoted(video), ...flags, `--model ${model} --output ${quoted(output)}`].join(" "),
    Cog: [`cog predict -e SAM2_MODEL=${model} -i`, quoted(`video=@${video}`), ...cogInputs, `-o ${quoted(output)}`].join(" "),
    "HTTP (curl)": `curl -s http://localhost:5000/predictions -H 'Content-Type: application/json' -o answer.json -d ${body}`,
  };
}
