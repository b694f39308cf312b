// The row under the canvas: play, scrub, and what can be switched.
import { icon, iconButton } from "./icons.js";

export class Toolbar {
  /** `actions`: play, scrub(place), reset, lens, frusta, fly, snapshot, fullscreen. */
  constructor(actions, showCameras) {
    this.element = document.createElement("div");
    this.element.className = "fw-toolbar";
    this.element.setAttribute("role", "toolbar");
    this.element.setAttribute("aria-label", "3D view");
    this.play = iconButton("play", "Play the path", actions.play);
    this.scrub = document.createElement("input");
    Object.assign(this.scrub, { type: "range", min: 0, max: 1, step: 0.01, value: 0, className: "fw-scrub" });
    this.scrub.setAttribute("aria-label", "Place on the path");
    this.scrub.addEventListener("input", () => actions.scrub(Number(this.scrub.value)));
    this.place = document.createElement("output");
    this.place.className = "fw-place";
    const toggle = (name, label, action, on) => iconButton(name, label, action, { toggle: on });
    this.lens = toggle("eye", "Look through the camera", actions.lens, false);
    this.frusta = toggle("frusta", "Show the cameras", actions.frusta, showCameras);
    this.fly = toggle("fly", "Fly (drag looks around)", actions.fly, false);
    this.buttons = [
      iconButton("reset", "Reset the view", actions.reset), this.lens, this.frusta, this.fly,
      iconButton("camera", "Save a picture of this view", actions.snapshot),
      iconButton("full", "Full screen", actions.fullscreen),
    ];
    this.element.append(this.play, this.scrub, this.place, ...this.buttons);
  }

  /** Say how long the path is; a path of fewer than two cameras cannot be played. */
  setLength(count) {
    this.scrub.max = Math.max(1, count - 1);
    this.count = count;
    for (const part of [this.play, this.scrub, this.lens, this.frusta]) part.disabled = count < 2;
    this.setPlace(0);
  }

  setPlace(place) {
    this.scrub.value = place;
    const text = this.count > 1 ? `${Math.round(place) + 1} / ${this.count}` : "no path";
    this.place.textContent = text;
    this.scrub.setAttribute("aria-valuetext", this.count > 1 ? `camera ${text.replace("/", "of")}` : text);
  }

  setPlaying(playing) {
    const label = playing ? "Pause" : "Play the path";
    this.play.innerHTML = icon(playing ? "pause" : "play");
    this.play.title = label;
    this.play.setAttribute("aria-label", label);
  }

  press(button, on) {
    button.setAttribute("aria-pressed", String(on));
  }
}
