/** Key exchange jobs: inline and in a thread, answered later, refused in words. */
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import type { RandomSource } from "../../../src/base/random.ts";
import type { SignatureScheme } from "../../../src/crypto/signature-scheme.ts";
import type { JobId, Work, WorkResult } from "../../../src/ike/machine.ts";
import { type CheckingPool, COMPUTE_JOBS_MAX, createComputePool } from "../../../src/io/compute.ts";
import { performWork } from "../../../src/io/compute-work.ts";
import { createSystemRandom } from "../../../src/io/random.ts";
import type { PrivateKeyId } from "../../../src/policy/connection.ts";
import { KeyExchangeMethod } from "../../../src/wire/ike/registries.ts";

const random = createSystemRandom();
const NOT_LATER: WorkResult = { kind: "failed", reason: "told from within" };
const context = { random, wallClock: 0 };
let pool: CheckingPool | undefined;
afterEach(async () => {
  await pool?.close();
});

function answer(work: Work): Promise<{ job: JobId; result: WorkResult }> {
  pool = createComputePool(random, new Map());
  const open = pool;
  return new Promise((resolve) => {
    open.submit(7 as JobId, work, (job, result) => resolve({ job, result: result as WorkResult }));
  });
}

test("an X25519 pair and the secret of two ends", async () => {
  const method = KeyExchangeMethod.CURVE25519;
  const { job, result } = await answer({ kind: "generateKeyExchange", method });
  expect(job).toBe(7);
  if (result.kind !== "keyExchange") throw new Error(`got ${result.kind}`);
  const other = performWork({ kind: "generateKeyExchange", method }, context);
  if (other.kind !== "keyExchange") throw new Error(`got ${other.kind}`);
  const ours = performWork(
    {
      kind: "deriveSharedSecret",
      method,
      privateValue: result.privateValue,
      peerPublicValue: other.publicValue,
    },
    context,
  );
  const theirs = performWork(
    {
      kind: "deriveSharedSecret",
      method,
      privateValue: other.privateValue,
      peerPublicValue: result.publicValue,
    },
    context,
  );
  expect(ours).toEqual(theirs);
});

test("a peer's unacceptable value is refused, with a reason", () => {
  const work: Work = {
    kind: "deriveSharedSecret",
    method: KeyExchangeMethod.CURVE25519,
    privateValue: new Uint8Array(32).fill(9),
    peerPublicValue: new Uint8Array(32),
  };
  expect(performWork(work, context)).toEqual({
    kind: "refused",
    reason: expect.stringMatching(/^the peer's key exchange data for CURVE25519 is not a value/),
  });
});

test("a failure of our own is said to be ours, whatever it is", () => {
  const reasonOf = (work: Work, source: RandomSource = random) => {
    const result = performWork(work, { random: source, wallClock: 0 });
    return result.kind === "failed" ? result.reason : result.kind;
  };
  const method = KeyExchangeMethod.CURVE25519;
  const peerPublicValue = new Uint8Array(32).fill(9);
  const unsupported = 4095;
  const derive = { kind: "deriveSharedSecret", privateValue: new Uint8Array(31), peerPublicValue } as const;
  const dry: RandomSource = {
    ...random,
    secretBytes: () => {
      throw new Error("no entropy");
    },
  };

  const reasons = [
    reasonOf({ ...derive, method }),
    reasonOf({ ...derive, method: unsupported }),
    reasonOf({ kind: "generateKeyExchange", method }, dry),
  ];

  for (const reason of reasons) {
    expect(reason).toMatch(/^this gateway could not compute it: /);
    expect(reason).not.toMatch(/peer/);
  }
  expect(reasons[2]).toMatch(/no entropy$/);
});

test("quick work is answered at once, but not by the thousand; and nothing after close", async () => {
  pool = createComputePool(random, new Map());
  const work: Work = { kind: "generateKeyExchange", method: KeyExchangeMethod.CURVE25519 };
  let answers = 0;
  const submit = (job: number) => pool?.submit(job as JobId, work, () => answers++);
  submit(1);
  expect(answers).toBe(1);
  for (let i = 0; i < 100; i++) submit(i);
  const atOnce = answers;
  expect(atOnce).toBeLessThan(50);
  await new Promise((resolve) => setImmediate(resolve));
  expect(answers).toBe(101);
  submit(2);
  expect(answers).toBe(102);
  for (let i = 0; i < 100; i++) submit(i);
  const before = answers;
  await pool.close();
  await new Promise((resolve) => setImmediate(resolve));
  expect(answers).toBe(before);
});

test("[PQ-20] a KEM: the responder's answer is for the initiator's pair", () => {
  const method = KeyExchangeMethod.ML_KEM_768;
  const pair = performWork({ kind: "generateKeyExchange", method }, context);
  if (pair.kind !== "keyExchange") throw new Error(`got ${pair.kind}`);
  const peerPublicValue = pair.publicValue;
  const answered = performWork({ kind: "answerKeyExchange", method, peerPublicValue }, context);
  if (answered.kind !== "keyExchangeAnswer") throw new Error(`got ${answered.kind}`);

  const { privateValue } = pair;
  const ours: Work = {
    kind: "deriveSharedSecret",
    method,
    privateValue,
    peerPublicValue: answered.publicValue,
  };
  expect(performWork(ours, context)).toEqual({ kind: "sharedSecret", secret: answered.secret });
  const short: Work = { kind: "answerKeyExchange", method, peerPublicValue: new Uint8Array(3) };
  expect(performWork(short, context).kind).toBe("refused");
});

test("an RSA key signs elsewhere, one that is gone does not, and nothing is told after close", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const id = "rsa" as PrivateKeyId;
  const keys = new Map([[id, privateKey]]);
  pool = createComputePool(random, keys);
  const open = pool;
  const octets = new Uint8Array(100).fill(3);
  const scheme: SignatureScheme = { method: 1, algorithm: "rsa-pkcs1", hash: "sha256" };
  const work: Work = { kind: "sign", key: id, scheme, octets };
  let isWithin = true;
  const signed = new Promise<WorkResult>((resolve) => {
    open.submit(1 as JobId, work, (_, result) => resolve(isWithin ? NOT_LATER : (result as WorkResult)));
  });
  isWithin = false;
  const result = await signed;
  if (result.kind !== "signed") throw new Error(`got ${result.kind}`);
  expect(verify("sha256", octets, publicKey, result.data)).toBe(true);
  expect(result).toMatchObject({ method: 1, scheme: "rsa-pkcs1 sha256" });

  keys.clear();
  const gone = await new Promise((resolve) => open.submit(2 as JobId, work, (_, one) => resolve(one)));
  expect(gone).toMatchObject({ kind: "failed", reason: expect.stringContaining("not there any more") });

  keys.set(id, privateKey);
  let isTold = false;
  open.submit(3 as JobId, work, () => (isTold = true));
  await open.close();
  // Whoever comes later in the same queue is done later.
  await promisify(sign)("sha256", octets, { key: privateKey });
  expect(isTold).toBe(false);
});

test("jobs beyond the limit fail, and are not kept", async () => {
  pool = createComputePool(random, new Map());
  const open = pool;
  const work: Work = { kind: "generateKeyExchange", method: KeyExchangeMethod.CURVE25519 };
  // Some are answered at once.
  for (let i = 0; i < COMPUTE_JOBS_MAX + 100; i++) open.submit(i as JobId, work, () => undefined);
  const result = await new Promise<WorkResult>((resolve) => {
    open.submit(-1 as JobId, work, (_, one) => resolve(one as WorkResult));
  });
  expect(result).toEqual({
    kind: "failed",
    reason: "this gateway could not compute it: too many computations at once",
  });
});

test("random octets differ, and a fraction lies in [0, 1)", () => {
  expect(random.publicBytes(16)).not.toEqual(random.publicBytes(16));
  expect(random.secretBytes(32)).toHaveLength(32);
  for (let i = 0; i < 100; i++) {
    const fraction = random.fraction();
    expect(fraction >= 0 && fraction < 1).toBe(true);
  }
});
