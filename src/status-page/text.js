/** Numbers and times as text, and how text gets into the page: never as HTML. */

/** Writes only what changed: a reader's selection and a screen reader's place stay. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The exchange's digits, all of them; zeros at the end stand back, from the third decimal on. */
export function setDigits(element, digits) {
  if (element.dataset.digits === digits) return;
  element.dataset.digits = digits;
  const zeros = /\.\d\d\d*?(0+)$/.exec(digits)?.[1] ?? '';
  if (zeros === '') {
    element.textContent = digits;
    return;
  }
  const end = document.createElement('span');
  end.className = 'zeros';
  end.textContent = zeros;
  element.replaceChildren(digits.slice(0, -zeros.length), end);
}

export function setBadge(element, text, kind) {
  setText(element, text);
  element.classList.remove('good', 'warn', 'bad');
  if (kind) element.classList.add(kind);
}

/** Also fine for lags, which are below zero where the exchange's clock is ahead. */
export function milliseconds(ms) {
  if (ms === null || ms === undefined) return '–';
  if (Math.abs(ms) < 1_000) return `${Math.round(ms)} ms`;
  if (Math.abs(ms) < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return duration(ms / 1000);
}

export function duration(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [whole / 86_400, (whole / 3600) % 24, (whole / 60) % 60];
  if (days >= 1) return `${Math.floor(days)} d ${Math.floor(hours)} h`;
  if (hours >= 1) return `${Math.floor(hours)} h ${Math.floor(minutes)} min`;
  if (minutes >= 1) return `${Math.floor(minutes)} min ${whole % 60} s`;
  return `${whole} s`;
}

export function rate(perSecond) {
  return perSecond === null ? '–' : perSecond.toFixed(perSecond < 1000 ? 1 : 0);
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 ** 2) return `${(count / 1024).toFixed(1)} KiB`;
  if (count < 1024 ** 3) return `${(count / 1024 ** 2).toFixed(1)} MiB`;
  return `${(count / 1024 ** 3).toFixed(2)} GiB`;
}

/** UTC, to the millisecond. */
export function clock(timeMs) {
  return new Date(timeMs).toISOString().slice(11, 23);
}

/** a - b, exactly. */
export function difference(a, b) {
  const scale = Math.max(...[a, b].map((text) => text.split('.')[1]?.length ?? 0));
  const units = (text) => {
    const [whole, fraction = ''] = text.split('.');
    return BigInt(whole + fraction.padEnd(scale, '0'));
  };
  const result = units(a) - units(b);
  const digits = String(result < 0n ? -result : result).padStart(scale + 1, '0');
  const point = digits.length - scale;
  const text = scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
  return result < 0n ? `-${text}` : text;
}
