/**
 * Figures as a Spanish reader expects them: a decimal comma, and from five digits on, groups of
 * three parted by a thin space that does not break (U+202F; Ortografía de la lengua española, 2010).
 */

/** A number with at most so many decimals, or exactly so many. */
export function formatNumber(value: number, decimals = 0, exactly = false): string {
  return spanish(value, { maximumFractionDigits: decimals, minimumFractionDigits: exactly ? decimals : 0 });
}

/** A number with so many significant digits at most: 0.00034567 is «0,000346». */
export function formatSignificant(value: number, digits = 3): string {
  return spanish(value, { maximumSignificantDigits: digits });
}

/** A share from 0 to 1: 0.814 is «81,4 %»; with at most so many decimals, or exactly so many. */
export function formatPercent(share: number, decimals = 1, exactly = false): string {
  return `${formatNumber(share * 100, decimals, exactly)} %`;
}

/** How far a figure is from the one that it should be: «igual», «±2e-7». */
export function formatDifference(difference: number): string {
  return difference === 0 ? 'igual' : `±${difference.toExponential(0)}`;
}

/** «512 B», «1,5 KiB», «34,2 MiB», «1,25 GiB»; exactly, «7,0 MiB» as well, to stand over «1,1 MiB» in a column. */
export function formatBytes(bytes: number, exactly = false): string {
  if (bytes < 1024) return `${formatNumber(bytes)} B`;
  if (bytes < 1024 ** 2) return `${formatNumber(bytes / 1024, 1, exactly)} KiB`;
  if (bytes < 1024 ** 3) return `${formatNumber(bytes / 1024 ** 2, 1, exactly)} MiB`;
  return `${formatNumber(bytes / 1024 ** 3, 2, exactly)} GiB`;
}

/** «3,4 s», «45 s», «1 min 23 s», «2 h 5 min». */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${formatNumber(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${formatNumber(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

/** «1 paso», «125 pasos». */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count, 2)} ${count === 1 ? one : many}`;
}

/** A formatter takes much longer to make than to use, and a live chart writes dozens of numbers many times a second. */
const formats = new Map<string, Intl.NumberFormat>();

function spanish(value: number, options: Intl.NumberFormatOptions): string {
  const key = JSON.stringify(options);
  const format = formats.get(key) ?? new Intl.NumberFormat('es-ES', options);
  formats.set(key, format);
  return format.formatToParts(value).map(({ type, value }) => (type === 'group' ? '\u202f' : value)).join('');
}
