// What was asked last, as the tab keeps it: the server has not heard of a change yet when it is still answering another.

const KEY = "request";

/** At each change. A browser that keeps nothing is no reason to stop. */
export function remember(clip, inputs) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ clip, inputs }));
  } catch {}
}

/** The inputs of the clip with this id; null if this tab has asked nothing of it. */
export function remembered(clip) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return kept?.clip === clip ? kept.inputs : null;
  } catch {
    return null;
  }
}
