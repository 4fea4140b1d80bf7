// Everything that keys and the mouse do: one table, from which the sheet behind `?` is made, too.

/** [keys, what the sheet shows, what they do, the action]; an action gets the app, and gives false where the key is not meant for it. Without keys: said only. */
export const KEYS = [
  [[], "Click", "foreground: this belongs to the object"],
  [[], "Right click, Shift+click", "background: this does not"],
  [[], "Drag", "a box around the object"],
  [[], "Wheel, pinch", "zoom"],
  [[], "Alt+drag, two fingers", "move the picture"],
  [["ArrowLeft"], "←", "frame before", (app) => app.step(-1)],
  [["ArrowRight"], "→", "next frame", (app) => app.step(1)],
  [["Shift+ArrowLeft"], "Shift+←", "10 frames back", (app) => app.step(-10)],
  [["Shift+ArrowRight"], "Shift+→", "10 frames on", (app) => app.step(10)],
  [["Home"], "Home", "first frame", (app) => app.go(0)],
  [["End"], "End", "last frame", (app) => app.go(Infinity)],
  [[","], ",", "click before", (app) => app.toClick(-1)],
  [["."], ".", "next click", (app) => app.toClick(1)],
  [[" "], "Space", "play, pause", (app) => app.play()],
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "1 … 9", "choose an object", (app, key) => app.editor.choose(Number(key) - 1)],
  [["n"], "N", "new object", (app) => app.editor.add()],
  [["r", "F2"], "R", "rename the object", (app) => app.rename()],
  [["e"], "E", "hide or show the object", (app) => app.editor.toggleEye(app.editor.active)],
  [["Tab"], "Tab", "another mask for a single click", (app) => app.tab(1)],
  [["Shift+Tab"], "Shift+Tab", "the mask before", (app) => app.tab(-1)],
  [["Backspace"], "Backspace", "take the object's clicks off this frame", (app) => app.editor.clearFrame()],
  [["Delete"], "Delete", "remove the object", (app) => app.remove(app.editor.active)],
  [["Ctrl+z"], "Ctrl+Z", "undo", (app) => app.editor.undo()],
  [["Ctrl+Shift+z", "Ctrl+y"], "Ctrl+Shift+Z", "redo", (app) => app.editor.redo()],
  [["c"], "C", "clicks correct, or are new prompts", (app) => app.editor.toggleKind()],
  [["t"], "T", "track", (app) => app.track()],
  [["Escape"], "Esc", "stop; let go", (app) => app.escape()],
  [["m"], "M", "masks on or off", (app) => app.toggleMasks()],
  [["h"], "H", "clicks on or off", (app) => app.toggleMarkers()],
  [["v"], "V", "next view", (app) => app.nextView()],
  [["+", "="], "+", "zoom in", (app) => app.stage.zoomBy(1.5)],
  [["-"], "−", "zoom out", (app) => app.stage.zoomBy(1 / 1.5)],
  [["0"], "0", "fit", (app) => app.stage.fit()],
  [["Alt+ArrowLeft"], "Alt+← → ↑ ↓", "move the picture", (app) => app.stage.panBy(60, 0)],
  [["Alt+ArrowRight"], "", "", (app) => app.stage.panBy(-60, 0)],
  [["Alt+ArrowUp"], "", "", (app) => app.stage.panBy(0, 60)],
  [["Alt+ArrowDown"], "", "", (app) => app.stage.panBy(0, -60)],
  [["j", "Shift+j"], "I J K L", "move the cross (Shift: by 10)", (app, key) => app.stage.moveCursor(-stride(key), 0)],
  [["l", "Shift+l"], "", "", (app, key) => app.stage.moveCursor(stride(key), 0)],
  [["i", "Shift+i"], "", "", (app, key) => app.stage.moveCursor(0, -stride(key))],
  [["k", "Shift+k"], "", "", (app, key) => app.stage.moveCursor(0, stride(key))],
  [["Enter"], "Enter", "take the mask; click at the cross", (app) => app.clickCursor(false)],
  [["Shift+Enter"], "Shift+Enter", "background click at the cross", (app) => app.clickCursor(true)],
  [["b"], "B, B", "two corners of a box at the cross", (app) => app.stage.markCorner()],
  [["o"], "O", "open a clip", (app) => app.files.open()],
  [["f"], "F", "masks or boxes from a file", (app) => app.files.attach()],
  [["Ctrl+o"], "Ctrl+O", "load a session", (app) => app.files.load()],
  [["Ctrl+s"], "Ctrl+S", "save the session", (app) => app.files.save()],
  [["d"], "D", "download the result", (app) => app.download()],
  [["?"], "?", "this sheet", (app) => app.help()],
];

const stride = (key) => (key.startsWith("Shift+") ? 10 : 1);
const ACTIONS = new Map(KEYS.flatMap(([keys, , , run]) => keys.map((key) => [key, run])));
const TYPING = "input, select, textarea, output";

/** A key as the table writes it. Shift is part of it only where the letter does not show it already. */
function named(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isSign = event.key.length === 1 && key === event.key.toUpperCase();
  const parts = [(event.ctrlKey || event.metaKey) && "Ctrl", event.altKey && "Alt", event.shiftKey && !isSign && "Shift"];
  return [...parts.filter(Boolean), key].join("+");
}

export function listen(app) {
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (document.querySelector("dialog[open]")) return;
    if (target.matches(TYPING)) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (target.matches("button, summary") && [" ", "Enter"].includes(event.key)) return;
    const key = named(event);
    const run = ACTIONS.get(key);
    if (!run) return;
    if (key.endsWith("Tab") && !target.matches("body, #picture")) return;
    if (run(app, key) !== false) event.preventDefault();
  });
  // a button that the mouse has pressed must not swallow the next Space
  document.addEventListener("click", (event) => event.detail && event.target.closest("button")?.blur());
}

/** The sheet, as elements. */
export function sheet() {
  return KEYS.filter(([, shown]) => shown).map(([, shown, says]) => {
    const row = document.createElement("div");
    const [text, key] = [document.createElement("span"), document.createElement("kbd")];
    text.textContent = says;
    key.textContent = shown;
    row.append(text, key);
    return row;
  });
}
