// How figures are written.

const SCALES = ["", "k", "M", "G", "T"];

function scaled(value, unit) {
  let power = 0;
  while (value >= 999.5 && power < SCALES.length - 1) { value /= 1000; power += 1; }
  const digits = power === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return [value.toFixed(digits), `${SCALES[power]}${unit}`];
}

export const rate = (bits) => (bits == null ? "–" : scaled(bits, "bit/s").join(" "));
export const tick = (bits) => rate(bits).replace(/(\.\d*?)0+ /, "$1 ").replace(". ", " ");
export const rateParts = (bits) => scaled(bits ?? 0, "bit/s");
export const bytes = (count) => (count == null ? "–" : scaled(count, "B").join(" "));
export const percent = (share) =>
  share == null ? "–" : share === 0 ? "0 %" : share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
export const milliseconds = (ms) => (ms == null ? "–" : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);

export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

const two = (number) => String(number).padStart(2, "0");

export function clock(seconds) {
  const at = new Date(seconds * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function moment(seconds, step) {
  const at = new Date(seconds * 1000);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  if (step >= 86400) return day;
  const time = step < 60 ? clock(seconds) : clock(seconds).slice(0, 5);
  return step >= 300 ? `${day} ${time}` : time;
}
