// Shows what viewer.py's `payload` sends. Gradio runs this with `element`, `props` and `watch`.
const $ = (selector) => element.querySelector(selector);
const ARROW = 5; // how much longer than the shift, which is a few pixels
const colours = bytes(props.colours);
let frame = null; // shown now: its numbers, and depths as Uint16Array in millimetres
let next = null; // the latest that came while one was being decoded
let busy = false;
let point = null; // [x, y] in 0..1 of the picture
let kept = null; // where the last click was

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

async function inflate(text) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint16Array(await new Response(stream).arrayBuffer());
}

function metres(millimetres) {
  return (millimetres / 1000).toFixed(2) + " m";
}

function fixed(value, digits) {
  return (+value.toFixed(digits) || 0).toFixed(digits); // never "-0.0"
}

function say(name, text) {
  $(`[data-number=${name}]`).textContent = text;
}

function colour(canvas, depth) {
  const [height, width] = frame.shown;
  const [low, high] = frame.range.map((end) => end * 1000);
  const picture = new ImageData(width, height);
  for (let i = 0; i < depth.length; i++) {
    const level = Math.max(0, Math.min(255, Math.floor(((depth[i] - low) * 255) / (high - low))));
    for (let channel = 0; channel < 3; channel++) {
      picture.data[4 * i + channel] = depth[i] ? colours[3 * level + channel] : 120;
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function drawArrow() {
  const { dx, dy, response } = frame.shift;
  const [height, width] = frame.size;
  const thick = Math.max(height, width) / 150;
  const from = [width / 2, height / 2];
  const to = [from[0] + ARROW * dx, from[1] + ARROW * dy];
  const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
  const head = Math.min(5 * thick, ARROW * Math.hypot(dx, dy));
  const wing = (turn) => `${to[0] + head * Math.cos(angle + turn)} ${to[1] + head * Math.sin(angle + turn)}`;
  const arrow = $(".arrow");
  arrow.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const [name, wide] of [["under", 2.4 * thick], ["over", thick]]) {
    const path = arrow.querySelector(`.${name}`);
    path.setAttribute("stroke-width", wide);
    path.setAttribute("d", `M ${from.join(" ")} L ${to.join(" ")} M ${wing(2.6)} L ${to.join(" ")} L ${wing(-2.6)}`);
  }
  arrow.classList.toggle("unsure", response < 0.05);
}

function read() {
  for (const cross of element.querySelectorAll(".cross")) {
    cross.hidden = !point || !frame;
    if (point) cross.style.cssText = `left:${100 * point[0]}%;top:${100 * point[1]}%`;
  }
  for (const output of element.querySelectorAll(".read")) output.textContent = "";
  if (!frame || !point) return say("point", "–");
  const [height, width] = frame.shown;
  const column = Math.min(width - 1, Math.floor(point[0] * width));
  const row = Math.min(height - 1, Math.floor(point[1] * height));
  for (const [name, depth] of Object.entries(frame.metres)) {
    const value = depth[row * width + column];
    $(`.read[data-depth=${name}]`).textContent = value ? metres(value) : "no depth";
  }
  // The pixel of the frame that was sampled here, the same rule as in viewer.py.
  const x = Math.floor(((column + 0.5) * frame.size[1]) / width);
  const y = Math.floor(((row + 0.5) * frame.size[0]) / height);
  say("point", `x ${x}, y ${y}`);
}

async function show(coming) {
  const names = Object.keys(coming.depths);
  const [picture, ...depths] = await Promise.all([
    createImageBitmap(new Blob([bytes(coming.image)], { type: "image/jpeg" })),
    ...names.map((name) => inflate(coming.depths[name])),
  ]);
  frame = { ...coming, metres: Object.fromEntries(names.map((name, i) => [name, depths[i]])) };
  const canvas = $("[data-panel=image] canvas");
  [canvas.height, canvas.width] = frame.shown;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  drawArrow();
  for (const name of ["vanilla", "smoothed"]) {
    $(`[data-panel=${name}]`).hidden = !(name in frame.metres);
    if (name in frame.metres) colour($(`[data-panel=${name}] canvas`), frame.metres[name]);
  }
  $(".panels").dataset.count = names.length + 1;
  for (const picture of element.querySelectorAll("[data-coming]")) delete picture.dataset.coming;
  showLegend();
  const { dx, dy, response } = frame.shift;
  say("shift", `${fixed(dx, 1)}, ${fixed(dy, 1)} px`);
  say("response", response.toFixed(2) + (frame.number && response < 0.05 ? " (no match)" : ""));
  say("latency", frame.latency === null ? "–" : `${frame.latency.toFixed(frame.latency < 10 ? 1 : 0)} ms`);
  say("fps", frame.fps === null ? "–" : `${frame.fps.toFixed(1)} FPS`);
  say("frame", `${frame.number} at ${frame.time.toFixed(2)} s`);
  say("cuts", String(frame.cuts));
  read();
  element.dataset.frame = frame.number;
}

function showLegend() {
  const bar = $(".bar");
  const context = bar.getContext("2d");
  const picture = new ImageData(256, 1);
  for (let level = 0; level < 256; level++) {
    picture.data.set([...colours.subarray(3 * level, 3 * level + 3), 255], 4 * level);
  }
  context.putImageData(picture, 0, 0);
  const [low, high] = frame.range;
  $(".ticks").replaceChildren(
    ...[0, 1, 2, 3, 4].map((tick) => {
      const mark = document.createElement("span");
      mark.textContent = +(low + ((high - low) * tick) / 4).toFixed(2) + " m";
      return mark;
    }),
  );
  $(".legend").hidden = false;
}

async function pump() {
  if (busy) return;
  busy = true;
  try {
    while (next) {
      const coming = next;
      next = null;
      await show(coming);
    }
  } finally {
    busy = false;
  }
}

function tell(text, kind) {
  const message = $(".message");
  message.textContent = text;
  message.dataset.kind = kind;
  message.setAttribute("role", kind === "error" ? "alert" : "status");
}

function update() {
  if (!props.value) return;
  const value = JSON.parse(props.value);
  tell(value.message, value.kind);
  const share = $(".share");
  share.hidden = value.share === null || value.kind !== "info";
  share.value = value.share ?? 0;
  if (value.frame) {
    next = value.frame;
    pump();
  }
  // Gradio would go on sending frames. Its button says what a click does, in a language of its own but for the title.
  if (value.stop) document.querySelector('#camera [title="stop recording"]')?.closest("button").click();
}

function place(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const clamp = (part) => Math.max(0, Math.min(1 - 1e-9, part));
  return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
}

for (const canvas of element.querySelectorAll(".picture canvas")) {
  canvas.addEventListener("pointermove", (event) => {
    point = place(event);
    read();
  });
  canvas.addEventListener("pointerleave", () => {
    point = kept;
    read();
  });
  canvas.addEventListener("click", (event) => {
    point = kept = place(event);
    read();
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") point = kept = null;
    else if (step && frame) {
      event.preventDefault();
      const [height, width] = frame.shown;
      const [x, y] = point ?? [0.5, 0.5];
      const inside = (part) => Math.max(0, Math.min(1 - 1e-9, part));
      point = kept = [inside(x + step[0] / width), inside(y + step[1] / height)];
    } else return;
    read();
  });
}

watch("value", update);
update();
