// The rims of a mask, holes too, as closed lines along the edges of its pixels.

const REACH = 2; // corners each way that a smooth line is the mean of

/** Decoded run lengths: (height, width) bytes with a rim of zeros around them. */
function grid(width, height, runs) {
  const pixels = new Uint8Array((width + 2) * (height + 2));
  let [position, inside] = [0, false];
  for (const length of runs) {
    for (let done = 0; inside && done < length; ) {
      const row = Math.floor((position + done) / width);
      const column = (position + done) % width;
      const count = Math.min(length - done, width - column);
      const at = (row + 1) * (width + 2) + column + 1;
      pixels.fill(1, at, at + count);
      done += count;
    }
    position += length;
    inside = !inside;
  }
  return pixels;
}

/** From each corner of a pixel where the rim leads next, with the mask on the right; two ways where pixels only touch. */
function steps(width, height, pixels) {
  const [across, wide] = [width + 1, width + 2];
  const [first, second] = [new Int32Array(across * (height + 1)).fill(-1), new Map()];
  const step = (from, to) => (first[from] < 0 ? (first[from] = to) : second.set(from, to));
  for (let y = 0; y <= height; y++)
    for (let x = 0; x <= width; x++) {
      const at = (y + 1) * wide + x + 1;
      const corner = y * across + x;
      if (pixels[at] !== pixels[at - wide]) pixels[at] ? step(corner, corner + 1) : step(corner + 1, corner);
      if (pixels[at] !== pixels[at - 1]) pixels[at] ? step(corner + across, corner) : step(corner, corner + across);
    }
  return [first, second];
}

/** Closed lines, each an array of corners [x, y, x, y, ...] one pixel apart, within the box. */
function loops(width, height, runs) {
  const [first, second] = steps(width, height, grid(width, height, runs));
  const found = [];
  for (let start = 0; start < first.length; start++) {
    while (first[start] >= 0) {
      const line = [];
      let at = start;
      do {
        line.push(at % (width + 1), Math.floor(at / (width + 1)));
        const next = first[at];
        first[at] = second.get(at) ?? -1;
        second.delete(at);
        at = next;
      } while (at !== start);
      found.push(line);
    }
  }
  return found;
}

/** Two paths in pixels of the frame: along the pixels' edges, and the same without their stairs. */
export function outlines([x0, y0, x1, y1], runs) {
  const [exact, smooth] = [new Path2D(), new Path2D()];
  for (const line of loops(x1 - x0, y1 - y0, runs)) {
    const corners = line.length / 2;
    const corner = (index) => {
      const at = 2 * (((index % corners) + corners) % corners);
      return [x0 + line[at], y0 + line[at + 1]];
    };
    draw(exact, corners, 1, corner);
    draw(smooth, corners, REACH, (index) => {
      let [x, y] = [0, 0];
      for (let near = index - REACH; near <= index + REACH; near++) {
        const [cx, cy] = corner(near);
        [x, y] = [x + cx, y + cy];
      }
      return [x / (2 * REACH + 1), y / (2 * REACH + 1)];
    });
  }
  return { exact, smooth };
}

function draw(path, corners, stride, corner) {
  path.moveTo(...corner(0));
  for (let index = stride; index < corners; index += stride) path.lineTo(...corner(index));
  path.closePath();
}
