// The position on the path, and playback: to the end, or back and forth a few times until the visitor takes control.

const ROUNDS = 2; // enough to show the motion; a static view uses no battery

export class Player {
  constructor() {
    this.reset(0, 1);
  }

  reset(count, seconds) {
    this.last = Math.max(0, count - 1);
    this.seconds = seconds;
    this.place = 0;
    this.playing = false;
    this.swings = false;
    this.way = 1;
    this.rounds = 0;
  }

  /** Play back and forth, ROUNDS times, ending at the start. */
  swing() {
    this.swings = this.last > 0;
    this.rounds = ROUNDS;
    this.playing = this.swings;
  }

  toggle() {
    this.swings = false;
    this.way = 1;
    if (!this.playing && this.place >= this.last) this.place = 0;
    this.playing = !this.playing;
  }

  /** Advance by `seconds`; true while playing. */
  advance(seconds) {
    if (!this.playing) return false;
    this.place += (this.way * seconds * this.last) / this.seconds;
    if (this.swings) {
      if (this.place >= this.last) this.way = -1;
      if (this.place <= 0) {
        this.way = 1;
        this.rounds -= 1;
      }
      this.place = Math.min(Math.max(this.place, 0), this.last);
      if (this.rounds <= 0) this.playing = this.swings = false;
      return true;
    }
    if (this.place >= this.last) {
      this.place = this.last;
      this.playing = false;
      return true; // the last position has not been drawn yet
    }
    return true;
  }
}
