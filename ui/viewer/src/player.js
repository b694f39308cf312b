// Where on the path we are, and whether it runs. It plays to the end and stops there.

export class Player {
  constructor() {
    this.reset(0, 1);
  }

  reset(count, seconds) {
    this.last = Math.max(0, count - 1);
    this.seconds = seconds;
    this.place = 0;
    this.playing = false;
  }

  toggle() {
    if (!this.playing && this.place >= this.last) this.place = 0;
    this.playing = !this.playing;
  }

  /** Move on by `seconds`; true while playing. */
  advance(seconds) {
    if (!this.playing) return false;
    this.place += (seconds * this.last) / this.seconds;
    if (this.place >= this.last) {
      this.place = this.last;
      this.playing = false;
      return true; // the last place is still to be drawn
    }
    return true;
  }
}
