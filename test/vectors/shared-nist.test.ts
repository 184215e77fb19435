/** All of NIST's AES-GCM decryption and AES-CBC multi-block samples, where they are. */
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/base/bytes.ts";
import { decrypt, encrAlgorithm, encrypt, openAead, sealAead } from "../../src/crypto/encr.ts";
import { Encr } from "../../src/wire/ike/registries.ts";
import { sharedAreAbsent, sharedText } from "./vector-file.ts";

/** Blank-line or COUNT separated records of `NAME = value`, with the bracketed settings above them. */
function recordsOf(text: string): ReadonlyMap<string, string>[] {
  const records: Map<string, string>[] = [];
  const settings = new Map<string, string>();
  let record: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    const setting = /^\[(\w+)(?: = (\w+))?\]$/.exec(line);
    const field = /^(\w+) = ?(\w*)$/.exec(line);
    if (setting !== null) settings.set(setting[1]!, setting[2] ?? "");
    else if (line === "FAIL") record?.set("FAIL", "");
    else if (field?.[1]?.toLowerCase() === "count") {
      record = new Map(settings);
      records.push(record);
    } else if (field !== null) record?.set(field[1]!.toUpperCase(), field[2]!);
  }
  return records;
}

test.skipIf(sharedAreAbsent).each([128, 192, 256])("CAVP AES-GCM decryption, %i bits", (bits) => {
  const alg = encrAlgorithm(Encr.AES_GCM_16, bits)!;
  const outcomes = { opened: 0, refused: 0 };
  for (const record of recordsOf(sharedText(`nist/gcmDecrypt${bits}.rsp`))) {
    if (record.get("IVlen") !== "96" || record.get("Taglen") !== "128") continue;
    const iv = fromHex(record.get("IV")!);
    const key = concat(fromHex(record.get("KEY")!), iv.subarray(0, 4));
    const aad = fromHex(record.get("AAD")!);
    const sealed = fromHex(record.get("CT")! + record.get("TAG")!);

    const plaintext = openAead(alg, key, iv.subarray(4), aad, sealed);

    if (record.has("FAIL")) {
      expect(plaintext).toBeUndefined();
      outcomes.refused++;
    } else {
      expect(toHex(plaintext!)).toBe(record.get("PT"));
      expect(toHex(sealAead(alg, key, iv.subarray(4), aad, plaintext!))).toBe(toHex(sealed));
      outcomes.opened++;
    }
  }
  expect(outcomes.opened).toBeGreaterThan(5);
  expect(outcomes.refused).toBeGreaterThan(5);
});

test.skipIf(sharedAreAbsent).each([128, 192, 256])("CAVP AES-CBC multi-block messages, %i bits", (bits) => {
  const alg = encrAlgorithm(Encr.AES_CBC, bits)!;
  const records = recordsOf(sharedText(`nist/CBCMMT${bits}.fax`));
  for (const record of records) {
    const key = fromHex(record.get("KEY")!);
    const iv = fromHex(record.get("IV")!);
    const plaintext = record.get("PLAINTEXT")!;
    const ciphertext = record.get("CIPHERTEXT")!;

    expect(toHex(encrypt(alg, key, iv, fromHex(plaintext)))).toBe(ciphertext);
    expect(toHex(decrypt(alg, key, iv, fromHex(ciphertext)))).toBe(plaintext);
  }
  expect(records).toHaveLength(20);
});
