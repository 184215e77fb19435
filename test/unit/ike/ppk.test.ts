/** What a PPK changes of the keys, and how its notifies are read (RFC 8784 sections 3 and 5.1). */
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { concat, utf8 } from "../../../src/base/bytes.ts";
import { IkeSpi } from "../../../src/base/spi.ts";
import { choosePpk, mixPpk, ppkIdentity } from "../../../src/ike/auth/ppk.ts";
import { notify } from "../../../src/ike/exchange/payload-list.ts";
import { protectionFor } from "../../../src/ike/sa/ike-keys.ts";
import type { Connection } from "../../../src/policy/connection.ts";
import { NotifyType } from "../../../src/wire/ike/registries.ts";

const SUITE = { encr: 20, encrKeyBits: 256, integ: 0, prf: 5, ke: 31 };
const NONCES = { initiator: new Uint8Array(32).fill(1), responder: new Uint8Array(32).fill(2) };
const SPIS = { initiator: IkeSpi(new Uint8Array(8).fill(1)), responder: IkeSpi(new Uint8Array(8).fill(2)) };
const PPK = { id: utf8("one"), secret: utf8("the secret of one") };
const connectionWith = (isRequired: boolean) =>
  ({
    ppk: { keys: [{ id: utf8("zero"), secret: utf8("other") }, PPK], isRequired },
  }) as unknown as Connection;

test("[PQ-02] SK_d, SK_pi and SK_pr become prf+(PPK, each); the others and the IV counter stay", () => {
  const before = protectionFor(SUITE, NONCES, SPIS, new Uint8Array(32).fill(3));
  before.nextIv = 7;

  const after = mixPpk(before, PPK);

  const prfPlus = (key: Uint8Array) =>
    new Uint8Array(
      createHmac("sha256", PPK.secret)
        .update(concat(key, Uint8Array.of(1)))
        .digest(),
    );
  const { skD, skPi, skPr, ...others } = after.keys;
  expect(skD).toEqual(prfPlus(before.keys.skD));
  expect(skPi).toEqual(prfPlus(before.keys.skPi));
  expect(skPr).toEqual(prfPlus(before.keys.skPr));
  expect(others).toMatchObject({ skEi: before.keys.skEi, skEr: before.keys.skEr });
  expect(after).toMatchObject({ nextIv: 7, suite: { hasPpk: true } });
});

test("[PQ-05] an id of the fixed kind is looked up; opaque, of another kind or empty it is an unknown one", () => {
  const choose = (data: Uint8Array, isRequired = true) =>
    choosePpk(connectionWith(isRequired), true, [notify(NotifyType.PPK_IDENTITY, data)]);
  expect(choose(ppkIdentity(PPK).data)).toEqual({ kind: "mixed", ppk: PPK });
  expect([...ppkIdentity(PPK).data]).toEqual([2, ...PPK.id]);
  for (const type of [0, 1, 3, 255])
    expect(choose(concat(Uint8Array.of(type), PPK.id))).toMatchObject({ kind: "refused", reason: "unknown" });
  expect(choose(new Uint8Array(0), false)).toMatchObject({ kind: "refused", reason: "unknown" });
});

test("[PQ-03] NO_PPK_AUTH counts only where the PPK is unknown and none is required", () => {
  const bare = notify(NotifyType.NO_PPK_AUTH, Uint8Array.of(9));
  const unknown = ppkIdentity({ ...PPK, id: utf8("two") });
  expect(choosePpk(connectionWith(false), true, [unknown, bare])).toEqual({
    kind: "bare",
    data: Uint8Array.of(9),
  });
  expect(choosePpk(connectionWith(true), true, [unknown, bare])).toMatchObject({ kind: "refused" });
  expect(choosePpk(connectionWith(false), true, [ppkIdentity(PPK), bare])).toMatchObject({ kind: "mixed" });
  expect(choosePpk(connectionWith(false), false, [ppkIdentity(PPK), bare])).toEqual({ kind: "none" });
  expect(choosePpk(connectionWith(true), true, [bare])).toEqual({ kind: "refused", reason: "notUsed" });
});
