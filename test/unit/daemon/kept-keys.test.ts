import { expect, test } from "vitest";
import { keyLine } from "../../../src/cli/wireshark-keys.ts";
import { KeptKeys } from "../../../src/daemon/kept-keys.ts";
import { makePair } from "../dataplane/gateway-fixture.ts";

test("keys are kept as they are installed, and go with their slot", () => {
  const { a } = makePair();
  const installed: string[] = [];
  const store = {
    install: (slot: number) => void installed.push(`install ${slot}`),
    wipe: (slot: number) => void installed.push(`wipe ${slot}`),
  };
  const kept = new KeptKeys(store, a.table);
  const [pair] = a.dataPlane.pairs();
  const slots = [...Array(a.table.size.slots).keys()];
  for (const slot of slots.slice(0, 2))
    kept.install(slot, new Uint8Array(36).fill(slot + 1), new Uint8Array(0));
  expect(kept.changes).toBe(2);
  const keys = kept.all().map(({ key }) => key);
  expect(keys.map((key) => key.kind === "esp" && key.spi).toSorted()).toEqual(
    [pair!.inboundSpi, pair!.outboundSpi!].toSorted(),
  );
  const inbound = keys.find((key) => key.kind === "esp" && key.spi === pair!.inboundSpi)!;
  expect(inbound).toMatchObject({ encrKey: expect.stringMatching(/^(01|02){36}$/), integKey: "" });
  for (const slot of slots.slice(0, 2)) kept.wipe(slot);
  expect(kept.all()).toEqual([]);
  expect(installed).toEqual(["install 0", "install 1", "wipe 0", "wipe 1"]);
});

test("lines are as Wireshark's tables want them, and a cipher that it does not know has none", () => {
  const esp = {
    kind: "esp" as const,
    spi: 0xc0ffee,
    source: "2001:db8::1",
    destination: "2001:db8::2",
    encr: 12,
    encrKeyBits: 128,
    integ: 12,
    encrKey: "00112233445566778899aabbccddeeff",
    integKey: "aa",
  };
  expect(keyLine(esp)).toEqual({
    table: "esp_sa",
    line: '"IPv6","2001:db8::1","2001:db8::2","0x00c0ffee","AES-CBC [RFC3602]","0x00112233445566778899aabbccddeeff","HMAC-SHA-256-128 [RFC4868]","0xaa"',
  });
  expect(keyLine({ ...esp, encr: 28, integ: 0 })).toBeUndefined();
  const ike = {
    kind: "ike" as const,
    initiatorSpi: "0102030405060708",
    responderSpi: "1112131415161718",
    encr: 20,
    encrKeyBits: 256,
    integ: 0,
    skEi: "01",
    skEr: "02",
    skAi: "",
    skAr: "",
  };
  expect(keyLine(ike)).toEqual({
    table: "ikev2_decryption_table",
    line: '0102030405060708,1112131415161718,01,02,"AES-GCM-256 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"',
  });
  expect(keyLine({ ...ike, encr: 28 })).toBeUndefined();
});
