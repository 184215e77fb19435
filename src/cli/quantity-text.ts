/** Rates and counts as status prints them: three digits and a unit. */

const BIT_UNITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
const OCTET_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** `1.20 Gbit/s`, `310 Mbit/s`, `0 bit/s` */
export function rateText(bitsPerSecond: number): string {
  return scaled(bitsPerSecond, BIT_UNITS);
}

/** `48.3 GB`, in powers of ten as interfaces count. */
export function octetsText(octets: number): string {
  return scaled(octets, OCTET_UNITS);
}

/** `0.01 %`, `3.20 %`, `47.1 %`; what is not zero is never printed as zero. */
export function shareText(part: number, whole: number): string {
  const percent = whole > 0 ? (100 * part) / whole : 0;
  if (percent > 0 && percent < 0.005) return "< 0.01 %";
  return percent === 0 ? "0 %" : `${percent.toFixed(percent >= 9.995 ? 1 : 2)} %`;
}

function scaled(value: number, units: readonly string[]): string {
  let amount = Math.max(0, value);
  let unit = 0;
  // 999.5 would be printed as 1000.
  while (amount >= 999.5 && unit < units.length - 1) {
    amount /= 1000;
    unit++;
  }
  const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
  return `${amount.toFixed(digits)} ${units[unit]}`;
}
