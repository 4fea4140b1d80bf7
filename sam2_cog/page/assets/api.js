// How the page speaks to its server: JSON there and back, lines of JSON while something runs, files.

/** What the server refuses, in its own sentence; `field` is the input that it names, or "". */
export class Refusal extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.field = /^([a-z_]+): /.exec(sentence)?.[1] ?? "";
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Refusal(answer.error ?? `the server answered ${response.status}`, response.status);
}

async function ask(path, options) {
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error instanceof Refusal || error.name === "AbortError") throw error;
    throw new Refusal("the server does not answer: is sam2-cog ui still running?");
  }
}

const sending = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const get = async (path) => (await ask(path)).json();
export const post = async (path, body = {}) => (await ask(path, sending(body))).json();

/** Yields what the server tells while it works, one object a line. A last line with `error` is thrown. */
export async function* follow(path, body) {
  const response = await ask(path, sending(body));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new Refusal("the server stopped answering");
    });
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const event = JSON.parse(line);
      if (event.error) throw new Refusal(event.error);
      yield event;
    }
  }
}

/** A picture that can be drawn, the time of its frame in seconds, and what people call it, if not by its number. */
export async function picture(path) {
  const response = await ask(path);
  const seconds = Number(response.headers.get("Frame-Seconds"));
  const label = decodeURIComponent(response.headers.get("Frame-Label") ?? "");
  return { bitmap: await createImageBitmap(await response.blob()), seconds, label };
}

/** Send a file; `progress` gets the share that is through. Fetch cannot tell that, so it is the older way. */
export function upload(address, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `${address}name=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () =>
      request.status < 300
        ? resolve(request.response)
        : reject(new Refusal(request.response?.error ?? "the upload failed", request.status));
    request.onerror = () => reject(new Refusal("the upload broke off"));
    request.send(file);
  });
}
