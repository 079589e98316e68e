// Time as the server tells it: the browser's clock may be wrong, so only what has passed since is measured here.

export class Clock {
  #left = null;
  #asked = 0;

  set(left) {
    this.#left = left;
    this.#asked = performance.now();
  }

  // Seconds left, or null where nobody knows.
  get left() {
    return this.#left === null ? null : Math.max(0, this.#left - (performance.now() - this.#asked) / 1000);
  }
}

// The latest of the warnings (seconds) that holds.
export const due = (warnings, left) =>
  left === null ? null : warnings.filter((seconds) => left <= seconds).reduce((a, b) => Math.min(a ?? b, b), null);

// "1:05": hours and minutes, a minute begun counts.
export function hours(seconds) {
  const minutes = Math.ceil(seconds / 60);
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
}
