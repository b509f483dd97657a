// Words for times and counts.

/**
 * "2 workers": the word with an s unless there is one.
 *
 * @param {number} number
 * @param {string} word
 */
export function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/**
 * Seconds in at most two units: "45 s", "3 min 5 s", "2 h 10 min", "4 d 3 h".
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  if (minutes && whole < 600) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return minutes ? `${minutes} min` : `${whole} s`;
}

/**
 * How long ago an ISO time was.
 *
 * @param {string} time
 */
export function ago(time) {
  return duration((Date.now() - Date.parse(time)) / 1000);
}

/**
 * An ISO time in the reader's own zone and habits.
 *
 * @param {string} time
 */
export function moment(time) {
  return new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
}

/**
 * 09:41:07 of an ISO time; with the day when that is not today.
 *
 * @param {string} time
 */
export function clock(time) {
  const date = new Date(time);
  const hours = date.toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
  const today = date.toDateString() === new Date().toDateString();
  return today ? hours : `${date.toLocaleDateString([], { day: "numeric", month: "short" })}, ${hours}`;
}
