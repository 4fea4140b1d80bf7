// Several files as one .zip, each stored as it is, by PKWARE's APPNOTE.TXT (4.3.7, 4.3.12, 4.3.16), without ZIP64.

import { Refusal } from "./api.js";

const MOST_BYTES = 0xffff0000; // sizes and offsets have 32 bits; the list at the end fits as well
const MOST_FILES = 0xffff;
const VERSION = 20;
const UTF_8 = 0x800;
const DATE = 0x21; // the first that there is: 1 January 1980

/** Returns a File of this name; a Refusal where the files cannot be in one. */
export async function zipped(files, name) {
  const names = files.map((file) => file.name);
  const twice = names.find((one, index) => names.indexOf(one) < index);
  if (twice) throw new Refusal(`Two of the files are called ${twice}: each needs a name of its own.`);
  const bytes = files.reduce((sum, file) => sum + file.size + 512, 0);
  if (bytes > MOST_BYTES || files.length > MOST_FILES) throw new Refusal("These files are too much at once: make a .zip of them, and drop that.");
  const [parts, list] = [[], []];
  let offset = 0;
  for (const file of files) {
    const label = new TextEncoder().encode(file.name);
    const shared = [[2, VERSION], [2, UTF_8], [2, 0], [2, 0], [2, DATE], [4, await checkSum(file)], [4, file.size], [4, file.size], [2, label.length], [2, 0]];
    const head = record(0x04034b50, shared);
    parts.push(head, label, file);
    list.push(record(0x02014b50, [[2, VERSION], ...shared, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), label);
    offset += head.length + label.length + file.size;
  }
  const length = list.reduce((sum, part) => sum + part.length, 0);
  const end = record(0x06054b50, [[2, 0], [2, 0], [2, files.length], [2, files.length], [4, length], [4, offset], [2, 0]]);
  return new File([...parts, ...list, end], name);
}

/** Numbers of 2 or 4 bytes, little-endian, after a signature. */
function record(signature, fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 4));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [size, value] of fields) {
    view[size === 2 ? "setUint16" : "setUint32"](at, value, true);
    at += size;
  }
  return bytes;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32. */
async function checkSum(file) {
  let crc = -1;
  const reader = file.stream().getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return ~crc >>> 0;
    for (let index = 0; index < value.length; index++) crc = TABLE[(crc ^ value[index]) & 0xff] ^ (crc >>> 8);
  }
}
