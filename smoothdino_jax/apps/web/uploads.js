// After viewer.js. Refuses what the server would, before it is sent: Gradio tells such things elsewhere, and in bits.
function refusal(file) {
  if (!props.endings.some((ending) => file.name.toLowerCase().endsWith(ending))) {
    return `${file.name} can't be read as a video: MP4, MOV, MKV, WebM, AVI, MPEG, TS and GIF files can`;
  }
  if (file.size > props.megabytes * 2 ** 20) {
    return `${file.name} has ${Math.ceil((10 * file.size) / 2 ** 20) / 10} MB, this page takes up to ${props.megabytes} MB`;
  }
}

// Returns whether there was something to refuse; then Gradio doesn't hear of the event.
function refuse(event, files) {
  const why = event.target.closest?.("#file") && [...(files ?? [])].map(refusal).find(Boolean);
  if (!why) return false;
  event.preventDefault();
  event.stopImmediatePropagation();
  tell(why, "error");
  return true;
}

function chosen(event) {
  if (refuse(event, event.target.files)) event.target.value = "";
}

function dropped(event) {
  // An empty drop in its place, after which the box isn't marked any more.
  if (refuse(event, event.dataTransfer?.files)) {
    event.target.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: new DataTransfer() }));
  }
}

window.addEventListener("change", chosen, true); // before Gradio's own listeners
window.addEventListener("drop", dropped, true);
