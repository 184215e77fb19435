/** The native engine with our own AES-GCM, where the processor can do it. */
import { describe, expect, test } from "vitest";
import { toHex } from "../../../src/base/bytes.ts";
import { PACKET_NOT_AUTHENTIC, PACKET_OK } from "../../../src/base/packet-batch.ts";
import { CRYPTO_VARIABLE } from "../../../src/io/crypto-provider.ts";
import { isAddonBuilt, loadAddon } from "../../../src/io/native.ts";
import { allPackets, assign, installPair, plaintexts, SUITES, sealed } from "../esp/engine-suites.ts";
import { makeNative, makeTwin, nativeEngine } from "./native-engine.ts";

process.env[CRYPTO_VARIABLE] = "vaes";

const hasVaes = isAddonBuilt() && loadAddon().hasVaes();
if (!hasVaes) console.warn("skipped: this processor has no VAES");

/** Every number of blocks, whole and begun, that the three ways through the code differ in, and some more. */
const LENGTHS = Array.from({ length: 330 }, (_, i) => 4 * i + 2);
const AT_ONCE = 30;

describe.skipIf(!hasVaes)("the native engine with VAES", () => {
  nativeEngine("VAES");

  describe("packets of every length", () => {
    const suites = SUITES.filter(({ name }) => name.startsWith("AES-GCM"));

    test.each(suites)("$name: the same octets as from the twin, and the way back", (suite) => {
      const [native, twin] = [makeNative(), makeTwin()];
      for (const bench of [native, twin]) installPair(bench, suite, { limit: 2n ** 32n - 1n });
      for (let from = 0; from < LENGTHS.length; from += AT_ONCE) {
        const frames = plaintexts(LENGTHS.slice(from, from + AT_ONCE));
        const batch = sealed(native, frames);
        expect(allPackets(batch).map(toHex)).toEqual(allPackets(sealed(twin, frames)).map(toHex));
        native.engine.open(assign(batch, 1));
        expect([...batch.status.subarray(0, batch.count)]).toEqual(new Array(batch.count).fill(PACKET_OK));
        const plain = allPackets(frames).map(toHex);
        const opened = allPackets(batch).map(toHex);
        expect(opened.map((payload, i) => payload.slice(0, plain[i]!.length))).toEqual(plain);
      }
    });

    test.each(suites)("$name: a changed bit anywhere is noticed", (suite) => {
      const native = makeNative();
      installPair(native, suite, { limit: 2n ** 32n - 1n });
      const frames = plaintexts([2, 62, 126, 254, 382, 1398]);
      const lengths = [...sealed(native, frames).length.subarray(0, frames.count)];
      for (let part = 0; part < 16; part++) {
        const batch = sealed(native, frames);
        // Sequence number, IV where there is one, payload and ICV; another SPI would be another SA.
        for (let i = 0; i < batch.count; i++) {
          const at = 4 + Math.floor(((lengths[i]! - 5) * part) / 15);
          batch.bytes[batch.offset[i]! + at]! ^= 1 << (part & 7);
        }
        native.engine.open(assign(batch, 1));
        expect([...batch.status.subarray(0, batch.count)]).toEqual(
          new Array(batch.count).fill(PACKET_NOT_AUTHENTIC),
        );
      }
    });
  });
});
