// Where on the path we are, and whether it runs: to the end, or there and back a few times until somebody takes over.

const ROUNDS = 2; // enough to see that it moves; a view at rest costs no battery

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

  /** Play there and back, ROUNDS times, and end where it began. */
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

  /** Move on by `seconds`; true while playing. */
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
      return true; // the last place is still to be drawn
    }
    return true;
  }
}
