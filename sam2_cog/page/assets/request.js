// What is asked for: objects and clicks, never changed in place, and the strings and commands that say the same.
// The rules are the server's; here clicks are only put in order.

export const CLICK_FIELDS = [
  "click_coordinates", "click_labels", "click_frames", "click_object_ids", "click_corrections", "click_candidates",
];

/** A document: objects `{id, name}` and clicks `{object, frame, at, label, corrects, candidate}`; `at` has two or four numbers. */
export const EMPTY = { objects: [], clicks: [] };

const hasForeground = (doc, id) => doc.clicks.some((click) => click.object === id && click.label === 1);

/** The objects as the result numbers them: those with a foreground click or a box; then the others. */
export function ranked(doc) {
  const found = doc.objects.filter((object) => hasForeground(doc, object.id));
  return [...found, ...doc.objects.filter((object) => !found.includes(object))];
}

export const countObjects = (doc) => doc.objects.filter((object) => hasForeground(doc, object.id)).length;

export const clicksOf = (doc, id, frame) =>
  doc.clicks.filter((click) => click.object === id && (frame === undefined || click.frame === frame));

export const framesWithClicks = (doc) => [...new Set(doc.clicks.map((click) => click.frame))].sort((a, b) => a - b);

/** Whether an object has a prompt on any frame but this one, so that it can be tracked up to here. */
export const isPromptedElsewhere = (doc, id, frame) =>
  clicksOf(doc, id).some((click) => click.frame !== frame && click.label === 1 && !click.corrects);

/** Whether the clicks of an object on a frame correct: as they are marked, and background clicks alone always do. */
export function isCorrection(doc, id, frame) {
  const clicks = clicksOf(doc, id, frame);
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
  return click?.label && !click.corrects && click.at.length === 2 && !others.length ? click : null;
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

export function withObject(doc) {
  const names = new Set(doc.objects.map((object) => object.name));
  let number = doc.objects.length + 1;
  while (names.has(`object_${number}`)) number++;
  const id = 1 + Math.max(0, ...doc.objects.map((object) => object.id));
  return [{ ...doc, objects: [...doc.objects, { id, name: `object_${number}` }] }, id];
}

/** The server's reading of a request, entries `{name, frame, at, label, corrects, candidate}`, as a document. */
export function fromEntries(entries) {
  const names = [...new Set(entries.map((entry) => entry.name))];
  const objects = names.map((name, index) => ({ id: index + 1, name }));
  const clicks = entries.map(({ name, ...click }) => ({ ...click, object: names.indexOf(name) + 1 }));
  return { objects, clicks };
}

/** The click strings of a document, each aligned with the others. */
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
  };
}

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** The same request as a command, for Cog and over HTTP. `given`: the inputs that are not as they are by default. */
export function commands(given, video, model, suffix) {
  const output = `${video.replace(/^.*\//, "").replace(/\.[^.]*$/, "")}_result${suffix}`;
  const inputs = Object.entries(given);
  const flag = (name, value) => `--${name.replaceAll("_", "-")}${value === true ? "" : ` ${quoted(String(value))}`}`;
  const flags = inputs.map(([name, value]) => flag(name, value));
  const cogInputs = inputs.map(([name, value]) => `-i ${quoted(`${name}=${value}`)}`);
  const body = quoted(JSON.stringify({ input: { video, ...given } }));
  return {
    "Command line": ["sam2-cog segment", quoted(video), ...flags, `--model ${model} --output ${quoted(output)}`].join(" "),
    Cog: [`cog predict -e SAM2_MODEL=${model} -i`, quoted(`video=@${video}`), ...cogInputs, `-o ${quoted(output)}`].join(" "),
    "HTTP (curl)": `curl -s http://localhost:5000/predictions -H 'Content-Type: application/json' -o answer.json -d ${body}`,
  };
}
