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
