/** Runs a packet program as the kernel does: the accumulator machine of Documentation/networking/filter.rst. */
import type { PacketProgram } from "../../../src/dataplane/lane-steering.ts";

/** @returns the program's result; 0 when it loads from past the end of the packet or divides by zero */
export function runProgram(program: PacketProgram, packet: Uint8Array): number {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  let [a, x] = [0, 0];
  for (let at = 0; ; at++) {
    const [word, k] = [program[2 * at]!, program[2 * at + 1]!];
    const [code, ifTrue, ifFalse] = [word & 0xffff, (word >>> 16) & 0xff, word >>> 24];
    const loads = (from: number, octets: number) => from + octets <= packet.length;
    switch (code) {
      case 0x20:
        if (!loads(k, 4)) return 0;
        a = view.getUint32(k);
        break;
      case 0x40:
        if (!loads(x + k, 4)) return 0;
        a = view.getUint32(x + k);
        break;
      case 0x80:
        a = packet.length;
        break;
      case 0x01:
        x = k;
        break;
      case 0xb1:
        if (!loads(k, 1)) return 0;
        x = 4 * (packet[k]! & 0xf);
        break;
      case 0x1c:
        a = (a - x) >>> 0;
        break;
      case 0x54:
        a = (a & k) >>> 0;
        break;
      case 0x94:
        if (k === 0) return 0;
        a %= k;
        break;
      case 0x15:
        at += a === k ? ifTrue : ifFalse;
        break;
      case 0x35:
        at += a >= k ? ifTrue : ifFalse;
        break;
      case 0x06:
        return k;
      case 0x16:
        return a;
      default:
        throw new Error(`instruction ${at} has the code ${code}, which is none of ours`);
    }
  }
}
