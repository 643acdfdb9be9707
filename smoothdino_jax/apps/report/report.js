"use strict";

// Tables: a column's head sorts, ascending first; what has no value stays last either way.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      sortRows(table.tBodies[0], column, order === "ascending" ? 1 : -1, head.classList.contains("text"));
    });
  });
}

function sortRows(body, column, sign, asText) {
  const rows = [...body.rows].map((row) => ({ row, value: row.cells[column].dataset.value }));
  const compare = asText
    ? (a, b) => a.localeCompare(b, "en", { numeric: true })
    : (a, b) => Number(a) - Number(b);
  rows.sort((a, b) => {
    if (a.value === undefined || b.value === undefined) {
      return (a.value === undefined) - (b.value === undefined);
    }
    return sign * compare(a.value, b.value);
  });
  body.append(...rows.map(({ row }) => row));
}

// What is wider than its frame fades at the right, until it is scrolled there.
for (const frame of document.querySelectorAll(".scroll")) {
  const mark = () => frame.classList.toggle("more", frame.scrollWidth - frame.clientWidth - frame.scrollLeft > 1);
  frame.addEventListener("scroll", mark);
  new ResizeObserver(mark).observe(frame);
}

// Explanations: of the element under the pointer or with the focus, until Escape.
const tip = document.createElement("div");
tip.id = "tip";
tip.setAttribute("role", "tooltip");
tip.hidden = true;
document.body.append(tip);

function showTip(event) {
  const of = event.target.closest?.("[data-tip]");
  if (!of) {
    return hideTip();
  }
  tip.textContent = of.dataset.tip;
  tip.hidden = false;
  of.setAttribute("aria-describedby", "tip");
  const at = of.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const below = at.bottom + 6;
  const top = below + size.height > innerHeight ? at.top - 6 - size.height : below;
  // Through the object model, which a policy on inline styles allows.
  tip.style.top = `${Math.max(0, top)}px`;
  tip.style.left = `${Math.max(6, Math.min(at.left, innerWidth - size.width - 6))}px`;
}

function hideTip() {
  tip.hidden = true;
  document.querySelector("[aria-describedby=tip]")?.removeAttribute("aria-describedby");
}

document.addEventListener("pointerover", showTip);
document.addEventListener("focusin", showTip);
document.addEventListener("focusout", hideTip);
document.addEventListener("scroll", hideTip, true);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    hideTip();
  }
});

// The player: one frame number drives all pictures.
const player = document.querySelector(".player");
if (player) {
  const { numbers, pictures, mse } = JSON.parse(document.getElementById("frames").textContent);
  const slider = player.querySelector("input[type=range]");
  const play = player.querySelector(".play");
  const speed = player.querySelector("select");
  const last = numbers.length - 1;
  let timer = null;

  const show = (wanted) => {
    const k = Math.max(0, Math.min(last, wanted));
    slider.value = k;
    slider.setAttribute("aria-valuetext", `frame ${numbers[k]}, ${k + 1} of ${last + 1}`);
    player.querySelector("output.frame").textContent = `frame ${numbers[k]} (${k + 1} of ${last + 1})`;
    for (const image of player.querySelectorAll("img.layer")) {
      image.src = pictures[image.dataset.layer][k];
    }
    for (const output of player.querySelectorAll("output.mse")) {
      const value = mse[output.dataset.layer][k];
      output.textContent = value === null ? "MSE –" : `MSE ${value.toFixed(4)} m²`;
    }
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  const start = () => {
    clearInterval(timer);
    timer = setInterval(() => show(Number(slider.value) === last ? 0 : Number(slider.value) + 1), 1000 / speed.value);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  };
  const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -Infinity, End: Infinity };

  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });
  play.addEventListener("click", () => (timer === null ? start() : stop()));
  speed.addEventListener("change", () => timer !== null && start());
  player.addEventListener("keydown", (event) => {
    if (event.target === speed || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    if (event.key in moves) {
      stop();
      show(Number(slider.value) + moves[event.key]);
    } else if (event.key === " " && event.target !== play) {
      play.click();
    } else {
      return;
    }
    event.preventDefault();
  });
  player.querySelector(".controls").hidden = false;
  show(0);
}

// On paper nothing can be unfolded.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) {
    folded.open = true;
  }
});
