/** Key exchange methods: lengths, replay from a seed, values that must be refused. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../src/base/bytes.ts";
import { CryptoError, type CryptoErrorCode } from "../../../src/crypto/error.ts";
import {
  answerKeyExchange,
  deriveSharedSecret,
  generateKeyExchange,
  keyExchangeAlgorithm,
  PRIVATE_VALUE_ATTEMPTS_MAX,
} from "../../../src/crypto/key-exchange.ts";
import { MODP_GROUPS } from "../../../src/crypto/modp-groups.ts";
import { KeyExchangeMethod } from "../../../src/wire/ike/registries.ts";
import { scriptedRandom, seededRandom } from "./seeded-random.ts";

const METHODS = [
  { id: KeyExchangeMethod.MODP_2048, publicValueLength: 256, sharedSecretLength: 256 },
  { id: KeyExchangeMethod.MODP_3072, publicValueLength: 384, sharedSecretLength: 384 },
  { id: KeyExchangeMethod.MODP_4096, publicValueLength: 512, sharedSecretLength: 512 },
  { id: KeyExchangeMethod.ECP_256, publicValueLength: 64, sharedSecretLength: 32 },
  { id: KeyExchangeMethod.ECP_384, publicValueLength: 96, sharedSecretLength: 48 },
  { id: KeyExchangeMethod.ECP_521, publicValueLength: 132, sharedSecretLength: 66 },
  { id: KeyExchangeMethod.CURVE25519, publicValueLength: 32, sharedSecretLength: 32 },
  { id: KeyExchangeMethod.CURVE448, publicValueLength: 56, sharedSecretLength: 56 },
  { id: KeyExchangeMethod.BRAINPOOL_P224R1, publicValueLength: 56, sharedSecretLength: 28 },
  { id: KeyExchangeMethod.BRAINPOOL_P256R1, publicValueLength: 64, sharedSecretLength: 32 },
  { id: KeyExchangeMethod.BRAINPOOL_P384R1, publicValueLength: 96, sharedSecretLength: 48 },
  { id: KeyExchangeMethod.BRAINPOOL_P512R1, publicValueLength: 128, sharedSecretLength: 64 },
  { id: KeyExchangeMethod.MODP_1024, publicValueLength: 128, sharedSecretLength: 128 },
  { id: KeyExchangeMethod.MODP_1536, publicValueLength: 192, sharedSecretLength: 192 },
  { id: KeyExchangeMethod.MODP_6144, publicValueLength: 768, sharedSecretLength: 768 },
  { id: KeyExchangeMethod.MODP_8192, publicValueLength: 1024, sharedSecretLength: 1024 },
  { id: KeyExchangeMethod.MODP_2048_224, publicValueLength: 256, sharedSecretLength: 256 },
  { id: KeyExchangeMethod.MODP_2048_256, publicValueLength: 256, sharedSecretLength: 256 },
];
const [major = 0, minor = 0] = process.versions.openssl.split(".").map(Number);
const LOOKS_AT_SUBGROUPS = major > 3 || (major === 3 && minor >= 5);

const KEMS = [
  { id: KeyExchangeMethod.ML_KEM_512, publicValueLength: 800, answerLength: 768 },
  { id: KeyExchangeMethod.ML_KEM_768, publicValueLength: 1184, answerLength: 1088 },
  { id: KeyExchangeMethod.ML_KEM_1024, publicValueLength: 1568, answerLength: 1568 },
];

const toBigInt = (octets: Uint8Array) => BigInt(`0x${toHex(octets)}`);
const toOctets = (value: bigint, length: number) => fromHex(value.toString(16).padStart(2 * length, "0"));

function codeOf(action: () => unknown): CryptoErrorCode | "no CryptoError" {
  try {
    action();
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
  return "no CryptoError";
}

test.each(METHODS)("[INIT-10] method $id: both sides agree, at full length", (method) => {
  const random = seededRandom(`agree ${method.id}`);
  const initiator = generateKeyExchange(method.id, random);
  const responder = generateKeyExchange(method.id, random);

  const secret = deriveSharedSecret(method.id, initiator.privateValue, responder.publicValue);

  expect(keyExchangeAlgorithm(method.id)).toMatchObject(method);
  expect(initiator.publicValue).toHaveLength(method.publicValueLength);
  expect(secret).toHaveLength(method.sharedSecretLength);
  expect(deriveSharedSecret(method.id, responder.privateValue, initiator.publicValue)).toEqual(secret);
  expect(initiator.publicValue).not.toEqual(responder.publicValue);
});

test.each(METHODS)("method $id: the same seed gives the same pair, another seed another", ({ id }) => {
  const pair = generateKeyExchange(id, seededRandom("a"));
  expect(generateKeyExchange(id, seededRandom("a"))).toEqual(pair);
  expect(generateKeyExchange(id, seededRandom("b")).privateValue).not.toEqual(pair.privateValue);
});

test.each(METHODS)(
  "[INIT-10] method $id: a value one octet too short, too long, or empty is refused",
  (method) => {
    const { id, publicValueLength } = method;
    const { privateValue, publicValue } = generateKeyExchange(id, seededRandom("length"));
    const bad = [
      publicValue.subarray(1),
      publicValue.subarray(0, publicValueLength - 1),
      concat(Uint8Array.of(0), publicValue),
      concat(publicValue, Uint8Array.of(0)),
      new Uint8Array(0),
    ];
    for (const peer of bad)
      expect(codeOf(() => deriveSharedSecret(id, privateValue, peer))).toBe("CRYPTO_BAD_PUBLIC_VALUE");
  },
);

test.each(METHODS)("method $id: whatever a peer sends, it is a secret or the one error", (method) => {
  const { id, publicValueLength, sharedSecretLength } = method;
  const { privateValue } = generateKeyExchange(id, seededRandom("hostile"));
  const exact = fc.uint8Array({ minLength: publicValueLength, maxLength: publicValueLength });
  const any = fc.uint8Array({ maxLength: publicValueLength + 2 });
  fc.assert(
    fc.property(fc.oneof({ weight: 3, arbitrary: exact }, any), (peer) => {
      let secret: Uint8Array | undefined;
      const code = codeOf(() => {
        secret = deriveSharedSecret(id, privateValue, peer);
      });
      if (secret === undefined) expect(code).toBe("CRYPTO_BAD_PUBLIC_VALUE");
      else expect(secret).toHaveLength(sharedSecretLength);
    }),
    { numRuns: 40 },
  );
});

test.each([0, 1, 22, 25, 26, 33, 34, 38, 1024, -1, Number.NaN])("there is no method %d", (id) => {
  expect(keyExchangeAlgorithm(id)).toBeUndefined();
  expect(codeOf(() => generateKeyExchange(id, seededRandom("")))).toBe("CRYPTO_UNSUPPORTED");
  expect(codeOf(() => deriveSharedSecret(id, new Uint8Array(32), new Uint8Array(32)))).toBe(
    "CRYPTO_UNSUPPORTED",
  );
});

test.each(METHODS)("method $id: a private value of another length is this side's mistake", ({ id }) => {
  const { publicValue } = generateKeyExchange(id, seededRandom("own"));
  expect(codeOf(() => deriveSharedSecret(id, new Uint8Array(31).fill(1), publicValue))).toBe(
    "CRYPTO_BAD_PRIVATE_VALUE",
  );
});

test.each(MODP_GROUPS.filter(({ order }) => order === undefined))(
  "[INIT-11] MODP $id: 0, 1, p-1, p and above are refused; 2 is not",
  (group) => {
    const { privateValue } = generateKeyExchange(group.id, seededRandom("modp"));
    const length = group.prime.length;
    const p = toBigInt(group.prime);
    const exponentIsEven = (privateValue.at(-1)! & 1) === 0;
    const derive = (value: bigint) => deriveSharedSecret(group.id, privateValue, toOctets(value, length));

    for (const value of [0n, 1n, p - 1n, p, p + 1n, p + 2n, (1n << BigInt(8 * length)) - 1n])
      expect(codeOf(() => derive(value))).toBe("CRYPTO_BAD_PUBLIC_VALUE");
    const ofTwo = toBigInt(derive(2n));
    expect(ofTwo).toBe(toBigInt(generateKeyExchange(group.id, scriptedRandom(privateValue)).publicValue));
    // No honest peer sends p-2, which is not in the subgroup that 2 makes: OpenSSL looks from 3.5 on.
    const code = codeOf(() => derive(p - 2n));
    if (code !== "no CryptoError")
      expect([code, LOOKS_AT_SUBGROUPS]).toEqual(["CRYPTO_BAD_PUBLIC_VALUE", true]);
    else expect(toBigInt(derive(p - 2n))).toBe(exponentIsEven ? ofTwo : p - ofTwo);
  },
);

const CURVES = [
  {
    id: KeyExchangeMethod.ECP_256,
    length: 32,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  {
    id: KeyExchangeMethod.ECP_384,
    length: 48,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  {
    id: KeyExchangeMethod.ECP_521,
    length: 66,
    p: 2n ** 521n - 1n,
    b: 0x051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
    n: 2n ** 521n - 2n ** 260n + 0xa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
];

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let b = base % modulus, e = exponent; e > 0n; e >>= 1n, b = (b * b) % modulus)
    if (e & 1n) result = (result * b) % modulus;
  return result;
}

/** The point of the curve with the smallest x. */
function pointOfSmallX({ p, b }: { p: bigint; b: bigint }): { x: bigint; y: bigint } {
  for (let x = 0n; ; x++) {
    const rhs = (((x * x * x - 3n * x + b) % p) + p) % p;
    const y = power(rhs, (p + 1n) / 4n, p);
    if ((y * y) % p === rhs) return { x, y };
  }
}

test.each(CURVES)("[INIT-11] ECP $id: what is no point of the curve is refused", (curve) => {
  const { id, length, p } = curve;
  const { privateValue } = generateKeyExchange(id, seededRandom("ecp"));
  const { x, y } = pointOfSmallX(curve);
  const derive = (px: bigint, py: bigint) =>
    deriveSharedSecret(id, privateValue, concat(toOctets(px, length), toOctets(py, length)));

  expect(derive(x, y)).toEqual(derive(x, p - y));
  for (const [px, py] of [
    [0n, 0n],
    [x, y ^ 1n],
    [x + 1n, y],
    [y, x],
    [x + p, y],
    [p, p],
    [p, y],
    [x, p],
  ] as const)
    expect(codeOf(() => derive(px, py))).toBe("CRYPTO_BAD_PUBLIC_VALUE");
});

test.each(CURVES)(
  "[INIT-13] ECP $id: values are x and y without a format octet, the secret is x alone",
  (curve) => {
    const { id, length, p } = curve;
    const one = toOctets(1n, length);
    const { publicValue } = generateKeyExchange(id, scriptedRandom(one));
    const gx = publicValue.slice(0, length);
    const [x, y] = [toBigInt(gx), toBigInt(publicValue.slice(length))];

    expect(publicValue).toHaveLength(2 * length);
    expect((y * y) % p).toBe((((x * x * x - 3n * x + curve.b) % p) + p) % p);
    // Times one is the generator itself, so that the secret must be its x.
    expect(deriveSharedSecret(id, one, publicValue)).toEqual(gx);
    const withFormat = concat(Uint8Array.of(4), publicValue);
    expect(codeOf(() => deriveSharedSecret(id, one, withFormat))).toBe("CRYPTO_BAD_PUBLIC_VALUE");
  },
);

test("[INIT-13] a secret whose x begins with zeros keeps its full length", () => {
  const curve = CURVES[0]!;
  const { x, y } = pointOfSmallX(curve);
  const point = concat(toOctets(x, 32), toOctets(y, 32));

  const secret = deriveSharedSecret(curve.id, toOctets(1n, 32), point);

  expect(secret).toHaveLength(32);
  expect(toBigInt(secret)).toBe(x);
});

test.each(CURVES)(
  "ECP $id: private values are 1 to n-1; others are drawn anew, not reduced",
  ({ id, length, n }) => {
    const valid = toOctets(5n, length);
    for (const refused of [0n, n, n + 1n]) {
      const random = scriptedRandom(toOctets(refused, length), valid);
      expect(generateKeyExchange(id, random).privateValue).toEqual(valid);
      expect(random.asked()).toBe(2);
    }
    for (const taken of [1n, n - 1n]) {
      const random = scriptedRandom(toOctets(taken, length));
      expect(toBigInt(generateKeyExchange(id, random).privateValue)).toBe(taken);
      expect(random.asked()).toBe(1);
    }
  },
);

test("the seven bits above P-521's field are cleared, so that every other draw is not wasted", () => {
  const octets = seededRandom("p521").secretBytes(66);
  octets[0] = 0xfe;
  const random = scriptedRandom(octets);

  const { privateValue } = generateKeyExchange(KeyExchangeMethod.ECP_521, random);

  expect(random.asked()).toBe(1);
  expect(privateValue[0]).toBe(0);
});

test.each([
  [KeyExchangeMethod.ECP_256, 32, 0xff],
  [KeyExchangeMethod.ECP_521, 66, 0x00],
  [KeyExchangeMethod.MODP_2048, 40, 0x00],
])("a broken random source ends in an error, method %i", (id, length, octet) => {
  const random = scriptedRandom(new Uint8Array(length).fill(octet));
  expect(codeOf(() => generateKeyExchange(id, random))).toBe("CRYPTO_BAD_RANDOM");
  expect(random.asked()).toBe(PRIVATE_VALUE_ATTEMPTS_MAX);
});

const X25519_P = 2n ** 255n - 19n;
const littleEndian = (value: bigint) => toOctets(value, 32).reverse();

test.each([
  ["0", 0n],
  ["1", 1n],
  ["a point of order 8", 0xb8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0n],
  ["another point of order 8", 0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5fn],
  ["p-1", X25519_P - 1n],
  ["p, which is 0", X25519_P],
  ["p+1, which is 1", X25519_P + 1n],
])("[INIT-12] X25519: %s gives an all-zero secret, which is refused, high bit or not", (_, u) => {
  const { privateValue } = generateKeyExchange(KeyExchangeMethod.CURVE25519, seededRandom("low order"));
  const littleEndianU = littleEndian(u);
  const withHighBit = Uint8Array.from(littleEndianU);
  withHighBit[31] = withHighBit[31]! | 0x80;

  for (const peer of [littleEndianU, withHighBit])
    expect(codeOf(() => deriveSharedSecret(KeyExchangeMethod.CURVE25519, privateValue, peer))).toBe(
      "CRYPTO_BAD_PUBLIC_VALUE",
    );
});

test("[INIT-12] X25519: the high bit of the peer's value does not count, and values from p on are reduced", () => {
  const random = seededRandom("mask");
  const { privateValue } = generateKeyExchange(KeyExchangeMethod.CURVE25519, random);
  const { publicValue } = generateKeyExchange(KeyExchangeMethod.CURVE25519, random);
  const withHighBit = Uint8Array.from(publicValue);
  withHighBit[31] = withHighBit[31]! | 0x80;
  const derive = (peer: Uint8Array) => deriveSharedSecret(KeyExchangeMethod.CURVE25519, privateValue, peer);

  expect(publicValue[31]! & 0x80).toBe(0);
  expect(derive(withHighBit)).toEqual(derive(publicValue));
  expect(derive(littleEndian(X25519_P + 9n))).toEqual(derive(littleEndian(9n)));
});

test.each([...METHODS, ...KEMS])("[PQ-20] method $id: an answer and the initiator's end agree", ({ id }) => {
  const random = seededRandom(`answer ${id}`);
  const { privateValue, publicValue } = generateKeyExchange(id, random);

  const { publicValue: answer, secret } = answerKeyExchange(id, publicValue, random);

  const { answerLength, publicValueLength, sharedSecretLength } = keyExchangeAlgorithm(id)!;
  expect(publicValue).toHaveLength(publicValueLength);
  expect(answer).toHaveLength(answerLength);
  expect(secret).toHaveLength(sharedSecretLength);
  expect(deriveSharedSecret(id, privateValue, answer)).toEqual(secret);
  expect(answerKeyExchange(id, publicValue, random).secret).not.toEqual(secret);
});

test.each(KEMS)("[PQ-20] KEM $id: keys and ciphertexts have their own lengths", (kem) => {
  expect(keyExchangeAlgorithm(kem.id)).toMatchObject({ ...kem, isKem: true, sharedSecretLength: 32 });
});

test.each(KEMS)("[PQ-19] KEM $id: values of another length are refused", (kem) => {
  const { privateValue, publicValue } = generateKeyExchange(kem.id, seededRandom("lengths"));
  const random = seededRandom("answer");
  const { publicValue: answer } = answerKeyExchange(kem.id, publicValue, random);
  for (const bad of [publicValue.subarray(1), concat(publicValue, Uint8Array.of(0)), new Uint8Array(0)])
    expect(codeOf(() => answerKeyExchange(kem.id, bad, random))).toBe("CRYPTO_BAD_PUBLIC_VALUE");
  for (const bad of [answer.subarray(1), concat(answer, Uint8Array.of(0)), new Uint8Array(0)])
    expect(codeOf(() => deriveSharedSecret(kem.id, privateValue, bad))).toBe("CRYPTO_BAD_PUBLIC_VALUE");
});

test.each(KEMS)("[PQ-19] KEM $id: a key with a coefficient of the modulus or more is refused", ({ id }) => {
  const random = seededRandom("modulus");
  const { publicValue } = generateKeyExchange(id, random);
  // The first coefficient has the low twelve bits of the first two octets (FIPS 203 section 4.2.1).
  for (const [coefficient, isRefused] of [
    [3328, false],
    [3329, true],
    [4095, true],
  ] as const) {
    const key = Uint8Array.from(publicValue);
    key[0] = coefficient & 0xff;
    key[1] = (key[1]! & 0xf0) | (coefficient >> 8);
    const code = codeOf(() => answerKeyExchange(id, key, random));
    expect(code).toBe(isRefused ? "CRYPTO_BAD_PUBLIC_VALUE" : "no CryptoError");
  }
});

test.each(KEMS)(
  "[PQ-19] KEM $id: a wrong ciphertext gives a secret of its own, always the same",
  ({ id }) => {
    const random = seededRandom("implicit rejection");
    const { privateValue, publicValue } = generateKeyExchange(id, random);
    const { publicValue: answer, secret } = answerKeyExchange(id, publicValue, random);
    answer[7] = answer[7]! ^ 1;

    const rejected = deriveSharedSecret(id, privateValue, answer);

    expect(rejected).not.toEqual(secret);
    expect(rejected).toHaveLength(32);
    expect(deriveSharedSecret(id, privateValue, answer)).toEqual(rejected);
  },
);

test("a pair and an answer wipe what they were made of", () => {
  for (const id of [KeyExchangeMethod.ML_KEM_768, KeyExchangeMethod.CURVE448]) {
    const drawn: Uint8Array[] = [];
    const source = seededRandom("wiped");
    const random = {
      ...source,
      secretBytes: (length: number) => {
        const octets = source.secretBytes(length);
        drawn.push(octets);
        return octets;
      },
    };
    const { publicValue } = generateKeyExchange(id, random);
    answerKeyExchange(id, publicValue, random);
    expect(drawn).toHaveLength(2);
    for (const octets of drawn) expect(octets.every((octet) => octet === 0)).toBe(true);
  }
});

test.each([KeyExchangeMethod.MODP_2048_224, KeyExchangeMethod.MODP_2048_256])(
  "[INIT-11] MODP %i: values outside of the subgroup are refused (RFC 6989 section 2.2)",
  (id) => {
    const group = MODP_GROUPS.find((row) => row.id === id)!;
    const p = toBigInt(group.prime);
    const { privateValue, publicValue } = generateKeyExchange(id, seededRandom("subgroup"));
    const derive = (value: bigint) => deriveSharedSecret(id, privateValue, toOctets(value, 256));

    expect(derive(toBigInt(publicValue))).toHaveLength(256);
    // p - y has twice the order; 2 has some multiple of it.
    for (const value of [0n, 1n, 2n, p - 1n, p, p - toBigInt(publicValue)])
      expect(codeOf(() => derive(value))).toBe("CRYPTO_BAD_PUBLIC_VALUE");
  },
);

test("MODP with an order: exponents from the order on are drawn anew, not reduced", () => {
  const { id, order } = MODP_GROUPS.find((row) => row.id === KeyExchangeMethod.MODP_2048_256)!;
  const valid = new Uint8Array(32).fill(3);
  const random = scriptedRandom(order!, valid);

  expect(generateKeyExchange(id, random).privateValue).toEqual(valid);
  expect(random.asked()).toBe(2);
});

test("[INIT-12] X448: zero, one and p-1 give an all-zero secret, which is refused; all bits count", () => {
  const id = KeyExchangeMethod.CURVE448;
  const p = 2n ** 448n - 2n ** 224n - 1n;
  const { privateValue, publicValue } = generateKeyExchange(id, seededRandom("x448"));
  for (const u of [0n, 1n, p - 1n, p, p + 1n])
    expect(codeOf(() => deriveSharedSecret(id, privateValue, toOctets(u, 56).reverse()))).toBe(
      "CRYPTO_BAD_PUBLIC_VALUE",
    );
  const other = Uint8Array.from(publicValue);
  other[55] = other[55]! ^ 0x80;
  expect(deriveSharedSecret(id, privateValue, other)).not.toEqual(
    deriveSharedSecret(id, privateValue, publicValue),
  );
});

test.each(METHODS)("method $id: deriving leaves its arguments as they are", ({ id }) => {
  const random = seededRandom("arguments");
  const ours = generateKeyExchange(id, random);
  const theirs = generateKeyExchange(id, random).publicValue;
  const before = [Uint8Array.from(ours.privateValue), Uint8Array.from(theirs)];

  const first = deriveSharedSecret(id, ours.privateValue, theirs);
  const second = deriveSharedSecret(id, ours.privateValue, theirs);

  expect([ours.privateValue, theirs]).toEqual(before);
  expect(second).toEqual(first);
  expect(second.buffer).not.toBe(first.buffer);
});
