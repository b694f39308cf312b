// The canvas and its overlays: loading progress, errors, key help, announcements.
import { text } from "./texts.js";

const html = (code) => Object.assign(document.createElement("template"), { innerHTML: code }).content.firstElementChild;

export class Overlay {
  /** `onBack` moves the view back to the path; `records`: explain how to record one. */
  constructor(onBack, records) {
    this.helpText = text(records ? "viewer.help_record" : "viewer.help");
    this.element = html(`<div class="fw-view"></div>`);
    this.canvas = html(`<canvas class="fw-canvas" tabindex="0" role="application"></canvas>`);
    this.canvas.setAttribute("aria-label", `${text("viewer.name")}. ${this.helpText}`);
    this.help = html(`<p class="fw-keys-help" aria-hidden="true"></p>`);
    this.#tellHelp();
    this.loading = html(`<div class="fw-loading" hidden><progress max="1"></progress><span></span></div>`);
    this.failure = html(`<div class="fw-failure" role="alert" hidden></div>`);
    this.status = html(`<div class="fw-status" role="status" aria-live="polite"></div>`);
    this.note = html(`<p class="fw-over-note" hidden></p>`);
    this.refusal = html(`<p class="fw-over-note fw-refused" role="status" hidden></p>`);
    this.poster = html(`<img class="fw-poster" alt="" hidden>`);
    this.edge = html(`<div class="fw-edge" aria-hidden="true"></div>`);
    this.back = html(`<button type="button" class="fw-add fw-back" hidden>${text("viewer.back")}</button>`);
    this.back.addEventListener("click", onBack);
    this.offered = html(`<div class="fw-offer" hidden><button type="button" class="fw-add"></button></div>`);
    this.whole = html(`<button type="button" class="fw-add fw-whole" hidden></button>`);
    this.element.append(this.canvas, this.poster, this.edge, this.back, this.whole, this.help, this.note, this.refusal, this.offered, this.loading, this.failure, this.status);
  }

  /** Help for keys and mouse; on a touch screen for gestures, and before the first tap how to start. */
  #tellHelp() {
    const touch = matchMedia("(pointer: coarse)").matches;
    const tell = () => {
      const touched = document.activeElement === this.canvas ? text("viewer.help_touch") : text("viewer.tap");
      this.help.textContent = touch ? touched : this.helpText;
    };
    for (const type of ["focus", "blur"]) this.canvas.addEventListener(type, tell);
    tell();
  }

  /** `loaded` of `total` bytes; total 0 when unknown. */
  progress(loaded, total) {
    const [bar, line] = this.loading.children;
    this.loading.hidden = false;
    this.failure.hidden = true;
    const mb = (bytes) => (bytes / 1e6).toFixed(1);
    if (total) bar.value = loaded / total;
    else bar.removeAttribute("value");
    const percent = Math.round((100 * loaded) / total);
    line.textContent = total ? text("viewer.progress", { percent, total: mb(total) }) : `${mb(loaded)} MB`;
  }

  busy(text) {
    this.loading.hidden = false;
    this.loading.children[0].removeAttribute("value");
    this.loading.children[1].textContent = text;
  }

  done() {
    this.loading.hidden = true;
    this.failure.hidden = true;
  }

  fail(text) {
    this.loading.hidden = true;
    this.failure.textContent = text;
    this.failure.hidden = false;
  }

  /** A sentence that stays over the view; empty for none. */
  tell(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /** A picture shown until the scene is drawn; null for none. */
  showPoster(url) {
    if (url) this.poster.src = url;
    this.poster.hidden = !url;
  }

  get postered() {
    return !this.poster.hidden;
  }

  /** A button in place of a scene that is downloaded only on request; null text for none. */
  offer(text, onAccept) {
    this.offered.hidden = !text;
    if (!text) return;
    const button = this.offered.firstElementChild;
    button.textContent = text;
    button.onclick = onAccept;
  }

  /** A button that loads the full scene while a light copy is shown; null text for none. */
  offerWhole(text, onAccept) {
    this.whole.hidden = !text;
    if (!text) return;
    this.whole.textContent = text;
    this.whole.onclick = onAccept;
  }

  /** Distance of the view from the region where the scene exists, 0 to 1: fades the edges and offers a way back. */
  strain(amount) {
    this.edge.style.opacity = amount;
    this.back.hidden = amount < 0.35;
  }

  /** Dim the view and show why it is outdated; empty if it is current. */
  refuse(text) {
    this.element.classList.toggle("fw-dimmed", Boolean(text));
    this.refusal.textContent = text;
    this.refusal.hidden = !text;
  }

  say(text) {
    this.status.textContent = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.status.textContent = ""), 2500);
  }
}
