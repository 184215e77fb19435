/** Inner packets of any length for tests of what carries them: a header that says the length, then octets that differ. */

/** @param length - 20 (IPv4) or 40 (IPv6) octets at least */
export function innerPacket(family: 4 | 6, length: number, seed: number): Uint8Array {
  const packet = new Uint8Array(length);
  for (let i = 0; i < length; i++) packet[i] = (seed * 31 + i * 7 + (i >>> 8)) & 0xff;
  const view = new DataView(packet.buffer);
  if (family === 4) {
    packet[0] = 0x45;
    view.setUint16(2, length);
  } else {
    packet[0] = 0x60;
    view.setUint16(4, length - 40);
  }
  return packet;
}
