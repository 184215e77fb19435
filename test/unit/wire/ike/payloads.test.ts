/** The payload bodies one by one: octets written by hand, and the boundaries of what is taken. */
import { describe, expect, test } from "vitest";
import { concat, fromHex, fromUtf8, toHex, utf8 } from "../../../../src/base/bytes.ts";
import { decodePayloadChain, encodePayloadChain } from "../../../../src/wire/ike/message.ts";
import type { Payload } from "../../../../src/wire/ike/payload.ts";
import { MAX_CONFIGURATION_ATTRIBUTES } from "../../../../src/wire/ike/payloads/cp.ts";
import { MAX_DELETED_SPIS } from "../../../../src/wire/ike/payloads/delete.ts";
import { idBody } from "../../../../src/wire/ike/payloads/id.ts";
import { MAX_PROPOSALS, MAX_TRANSFORMS } from "../../../../src/wire/ike/payloads/sa.ts";
import { MAX_ATTRIBUTES_PER_TRANSFORM } from "../../../../src/wire/ike/payloads/transform.ts";
import { MAX_SELECTORS } from "../../../../src/wire/ike/payloads/ts.ts";
import { IdType, PayloadType } from "../../../../src/wire/ike/registries.ts";
import { WireError } from "../../../../src/wire/wire-error.ts";

/** Decodes one payload whose body is given in hexadecimal. */
function decode(type: number, body: string | Uint8Array): Payload {
  const octets = typeof body === "string" ? fromHex(body.replaceAll(" ", "")) : body;
  const length = octets.length + 4;
  return decodePayloadChain(type, concat(Uint8Array.of(0, 0, length >> 8, length & 0xff), octets))[0]!;
}

function codeOf(type: number, body: string | Uint8Array): string {
  try {
    decode(type, body);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return "decoded";
}

/** The body of one payload in hexadecimal. */
function encode(payload: Payload): string {
  return toHex(encodePayloadChain([payload]).bytes.subarray(4));
}

const NOTHING = new Uint8Array(0);

describe("SA", () => {
  const ENCR = "03 00 000c 01 00 000c 800e 0100";
  const PRF = "00 00 0008 02 00 0005";
  const PROPOSAL = `00 00 001c 01 01 00 02 ${ENCR} ${PRF}`;

  test("a proposal with a key length attribute", () => {
    const payload = decode(PayloadType.SA, PROPOSAL);
    expect(payload).toEqual({
      kind: "SA",
      proposals: [
        {
          number: 1,
          protocolId: 1,
          spi: NOTHING,
          transforms: [
            { type: 1, id: 12, keyBits: 256 },
            { type: 2, id: 5 },
          ],
        },
      ],
    });
    expect(encode(payload)).toBe(PROPOSAL.replaceAll(" ", ""));
  });

  test("reserved octets are ignored", () => {
    const reserved = `00 ff 001c 01 01 00 02 ${ENCR.replace("03 00", "03 ff").replace("01 00", "01 ff")} ${PRF}`;
    expect(decode(PayloadType.SA, reserved)).toEqual(decode(PayloadType.SA, PROPOSAL));
  });

  test("several proposals, one with an SPI", () => {
    const child = "00 00 0014 02 03 04 01 c0ffee01 00 00 0008 05 00 0000";
    const payload = decode(PayloadType.SA, `02${PROPOSAL.slice(2)} ${child}`);
    if (payload.kind !== "SA") throw new Error("no SA payload");
    expect(payload.proposals.map(({ number, protocolId, spi }) => [number, protocolId, toHex(spi)])).toEqual([
      [1, 1, ""],
      [2, 3, "c0ffee01"],
    ]);
  });

  test("marks of the last proposal and transform that contradict lengths or counts are refused", () => {
    expect(codeOf(PayloadType.SA, "")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.SA, `02${PROPOSAL.slice(2)}`)).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.SA, `01${PROPOSAL.slice(2)}`)).toBe("WIRE_BAD_VALUE");
    expect(codeOf(PayloadType.SA, `${PROPOSAL} ${PROPOSAL}`)).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.SA, PROPOSAL.replace("03 00 000c", "00 00 000c"))).toBe("WIRE_BAD_VALUE");
    expect(codeOf(PayloadType.SA, PROPOSAL.replace("00 00 0008", "03 00 0008"))).toBe("WIRE_BAD_VALUE");
    expect(codeOf(PayloadType.SA, PROPOSAL.replace("01 01 00 02", "01 01 00 01"))).toBe("WIRE_BAD_VALUE");
    expect(codeOf(PayloadType.SA, PROPOSAL.replace("01 01 00 02", "01 01 00 03"))).toBe("WIRE_BAD_VALUE");
  });

  test("lengths that do not hold what is announced are refused", () => {
    for (const length of ["0000", "0007", "001b", "001d", "ffff"]) {
      expect(codeOf(PayloadType.SA, PROPOSAL.replace("001c", length))).not.toBe("decoded");
    }
    for (const length of ["0000", "0007", "000a", "000b", "000d"]) {
      expect(codeOf(PayloadType.SA, PROPOSAL.replace("000c 01", `${length} 01`))).not.toBe("decoded");
    }
    expect(codeOf(PayloadType.SA, PROPOSAL.replace("01 01 00 02", "01 01 ff 02"))).toBe("WIRE_TRUNCATED");
  });

  test("attributes that are not known mark their transform", () => {
    const transformOf = (attributes: string) => {
      const length = (8 + attributes.replaceAll(" ", "").length / 2).toString(16).padStart(4, "0");
      const transform = `00 00 ${length} 01 00 000c ${attributes}`;
      const total = (8 + Number.parseInt(length, 16)).toString(16).padStart(4, "0");
      const payload = decode(PayloadType.SA, `00 00 ${total} 01 01 00 01 ${transform}`);
      return payload.kind === "SA" ? payload.proposals[0]!.transforms[0] : undefined;
    };
    const unknown = { type: 1, id: 12, hasUnknownAttribute: true };
    expect(transformOf("800e 0080")).toEqual({ type: 1, id: 12, keyBits: 128 });
    expect(transformOf("800f 0080")).toEqual(unknown);
    expect(transformOf("000e 0002 0080")).toEqual(unknown);
    expect(transformOf("0001 0000")).toEqual(unknown);
    expect(transformOf("800e 0080 800e 0100")).toEqual({ ...unknown, keyBits: 128 });
    expect(() => transformOf("000e 0003 0080")).toThrow(WireError);
    expect(() => transformOf("800e 00")).toThrow(WireError);
    expect(transformOf("800f 0000".repeat(MAX_ATTRIBUTES_PER_TRANSFORM))).toEqual(unknown);
    expect(() => transformOf("800f 0000".repeat(MAX_ATTRIBUTES_PER_TRANSFORM + 1))).toThrow(
      expect.objectContaining({ code: "WIRE_TOO_MANY" }),
    );
  });

  test("a transform with an unknown attribute is not sent", () => {
    const transforms = [{ type: 1, id: 12, hasUnknownAttribute: true as const }];
    const proposals = [{ number: 1, protocolId: 1, spi: NOTHING, transforms }];
    expect(() => encode({ kind: "SA", proposals })).toThrow(RangeError);
  });

  test("limits of proposals and transforms", () => {
    const proposal = { number: 1, protocolId: 3, spi: fromHex("00000100"), transforms: [] };
    const many = (count: number): Payload => ({ kind: "SA", proposals: new Array(count).fill(proposal) });
    expect(codeOf(PayloadType.SA, encode(many(MAX_PROPOSALS)))).toBe("decoded");
    const tooMany = `02${encode(many(1)).slice(2)}${encode(many(MAX_PROPOSALS))}`;
    expect(codeOf(PayloadType.SA, tooMany)).toBe("WIRE_TOO_MANY");
    expect(() => encode(many(MAX_PROPOSALS + 1))).toThrow(RangeError);
    expect(() => encode(many(0))).toThrow(RangeError);

    const long = (count: number): Payload => ({
      kind: "SA",
      proposals: [{ ...proposal, transforms: new Array(count).fill({ type: 1, id: 20 }) }],
    });
    expect(codeOf(PayloadType.SA, encode(long(MAX_TRANSFORMS)))).toBe("decoded");
    const body = fromHex(encode(long(MAX_TRANSFORMS)));
    body[7] = MAX_TRANSFORMS + 1;
    expect(codeOf(PayloadType.SA, body)).toBe("WIRE_TOO_MANY");
    expect(() => encode(long(MAX_TRANSFORMS + 1))).toThrow(RangeError);
  });
});

describe("KE, CERT, CERTREQ, AUTH, V", () => {
  test("octets", () => {
    const cases: readonly [number, string, string, Payload][] = [
      [PayloadType.KE, "001f ffff 0102", "001f 0000 0102", { kind: "KE", method: 31, data: fromHex("0102") }],
      [PayloadType.CERT, "04 0102", "04 0102", { kind: "CERT", encoding: 4, data: fromHex("0102") }],
      [PayloadType.CERTREQ, "04", "04", { kind: "CERTREQ", encoding: 4, data: NOTHING }],
      [PayloadType.AUTH, "02 ffffff 0a", "02 000000 0a", { kind: "AUTH", method: 2, data: fromHex("0a") }],
      [PayloadType.V, "", "", { kind: "V", data: NOTHING }],
    ];
    for (const [type, received, sent, payload] of cases) {
      expect(decode(type, received)).toEqual(payload);
      expect(encode(payload)).toBe(sent.replaceAll(" ", ""));
    }
  });

  test("fixed parts that are cut off are refused", () => {
    expect(codeOf(PayloadType.KE, "001f00")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.KE, "001f0000")).toBe("decoded");
    expect(codeOf(PayloadType.CERT, "")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.AUTH, "020000")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.AUTH, "02000000")).toBe("decoded");
  });
});

describe("IDi, IDr", () => {
  test("[AUTH-08] every type of identity is read as it stands, text without a terminator", () => {
    const identities: readonly [number, Uint8Array][] = [
      [IdType.IPV4_ADDR, fromHex("c0000201")],
      [IdType.IPV6_ADDR, fromHex("20010db8000000000000000000000001")],
      [IdType.FQDN, utf8("gateway.example.org")],
      [IdType.RFC822_ADDR, utf8("ops@example.org")],
      [IdType.DER_ASN1_DN, fromHex("300d310b3009060355040613024445")],
      [IdType.KEY_ID, fromHex("00ff00")],
    ];
    for (const [idType, data] of identities) {
      for (const kind of ["IDi", "IDr"] as const) {
        const type = PayloadType[kind];
        const payload = decode(type, concat(Uint8Array.of(idType, 0, 0, 0), data));
        expect(payload).toEqual({ kind, idType, data });
        expect(encode(payload)).toBe(toHex(Uint8Array.of(idType, 0, 0, 0)) + toHex(data));
      }
    }
    const text = decode(PayloadType.IDi, concat(Uint8Array.of(IdType.FQDN, 0, 0, 0), utf8("a.example")));
    expect(text.kind === "IDi" && fromUtf8(text.data)).toBe("a.example");
  });

  test("an address has the length of its family", () => {
    for (const [idType, length] of [
      [IdType.IPV4_ADDR, 4],
      [IdType.IPV6_ADDR, 16],
    ] as const) {
      const body = (count: number) => concat(Uint8Array.of(idType, 0, 0, 0), new Uint8Array(count));
      for (const count of [0, length - 1, length + 1]) {
        expect(codeOf(PayloadType.IDr, body(count))).toBe("WIRE_BAD_LENGTH");
      }
      expect(codeOf(PayloadType.IDr, body(length))).toBe("decoded");
    }
    expect(codeOf(PayloadType.IDi, "020000")).toBe("WIRE_TRUNCATED");
  });

  test("reserved octets of the peer count for AUTH and are not sent", () => {
    const received = decode(PayloadType.IDi, "02 010203 6162");
    if (received.kind !== "IDi") throw new Error("no identity");
    expect(received.reserved).toBe(0x010203);
    expect(toHex(idBody(received))).toBe("020102036162");
    expect(encode(received)).toBe("020000006162");
    expect(toHex(idBody({ kind: "IDr", idType: 2, data: utf8("ab") }))).toBe("020000006162");
  });
});

describe("Nonce", () => {
  test("16 to 256 octets are taken", () => {
    expect(codeOf(PayloadType.NONCE, new Uint8Array(15))).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.NONCE, new Uint8Array(16))).toBe("decoded");
    expect(codeOf(PayloadType.NONCE, new Uint8Array(256))).toBe("decoded");
    expect(codeOf(PayloadType.NONCE, new Uint8Array(257))).toBe("WIRE_BAD_LENGTH");
  });
});

describe("Notify", () => {
  test("octets", () => {
    const payload = decode(PayloadType.N, "03 04 4009 c0ffee01 0a0b");
    expect(payload).toEqual({
      kind: "N",
      protocolId: 3,
      notifyType: 16393,
      spi: fromHex("c0ffee01"),
      data: fromHex("0a0b"),
    });
    expect(encode(payload)).toBe("03044009c0ffee010a0b");
    expect(codeOf(PayloadType.N, "000040")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.N, "00004000")).toBe("decoded");
  });

  test("[ERR-05] an SPI size that its protocol does not have is refused", () => {
    const taken: Readonly<Record<number, readonly number[]>> = {
      0: [0, 4, 8],
      1: [0, 8],
      2: [0, 4],
      3: [0, 4],
    };
    for (let protocol = 0; protocol <= 3; protocol++) {
      for (let size = 0; size <= 16; size++) {
        const body = concat(Uint8Array.of(protocol, size, 0x40, 0x09), new Uint8Array(16));
        const expected = taken[protocol]!.includes(size) ? "decoded" : "WIRE_BAD_LENGTH";
        expect([protocol, size, codeOf(PayloadType.N, body)]).toEqual([protocol, size, expected]);
      }
    }
    expect(codeOf(PayloadType.N, "03 04 4009 c0ffee")).toBe("WIRE_TRUNCATED");
  });
});

describe("Delete", () => {
  test("octets", () => {
    const children = decode(PayloadType.D, "03 04 0002 00000100 c0ffee01");
    expect(children).toEqual({ kind: "D", protocolId: 3, spis: [fromHex("00000100"), fromHex("c0ffee01")] });
    expect(encode(children)).toBe("0304000200000100c0ffee01");
    const ike = decode(PayloadType.D, "01 00 0000");
    expect(ike).toEqual({ kind: "D", protocolId: 1, spis: [] });
    expect(encode(ike)).toBe("01000000");
    expect(encode({ kind: "D", protocolId: 3, spis: [] })).toBe("03040000");
  });

  test("counts and sizes that do not make up the body, or are not the protocol's, are refused", () => {
    expect(codeOf(PayloadType.D, "03 04 0002 00000100")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.D, "03 04 0001 00000100 00")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.D, "03 08 0001 0000010000000000")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.D, "03 00 0001")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.D, "01 08 0001 0102030405060708")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.D, "01 00 0001")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.D, "07 00 0400")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.D, "07 03 0001 010203")).toBe("decoded");
  });

  test("limit of SPIs", () => {
    const spis = new Array<Uint8Array>(MAX_DELETED_SPIS).fill(fromHex("00000100"));
    const body = encode({ kind: "D", protocolId: 3, spis });
    expect(codeOf(PayloadType.D, body)).toBe("decoded");
    const count = (MAX_DELETED_SPIS + 1).toString(16).padStart(4, "0");
    expect(codeOf(PayloadType.D, `0304${count}${body.slice(8)}00000100`)).toBe("WIRE_TOO_MANY");
    expect(() => encode({ kind: "D", protocolId: 3, spis: [...spis, spis[0]!] })).toThrow(RangeError);
    expect(() => encode({ kind: "D", protocolId: 3, spis: [spis[0]!, NOTHING] })).toThrow(RangeError);
  });
});

describe("TSi, TSr", () => {
  const V4 = "07 06 0010 01bb 01bb 0a010000 0a01ffff";
  const V6 = `08 00 0028 0000 ffff ${"20010db8".padEnd(32, "0")} ${"20010db8".padEnd(32, "f")}`;

  test("both families", () => {
    const payload = decode(PayloadType.TSi, `02 ffffff ${V4} ${V6}`);
    expect(payload).toEqual({
      kind: "TSi",
      selectors: [
        {
          type: 7,
          protocol: 6,
          startPort: 443,
          endPort: 443,
          startAddress: fromHex("0a010000"),
          endAddress: fromHex("0a01ffff"),
        },
        {
          type: 8,
          protocol: 0,
          startPort: 0,
          endPort: 65535,
          startAddress: fromHex("20010db8".padEnd(32, "0")),
          endAddress: fromHex("20010db8".padEnd(32, "f")),
        },
      ],
    });
    expect(encode(payload)).toBe(`02000000${V4}${V6}`.replaceAll(" ", ""));
  });

  test("[CHILD-06] a start above the end, a wrong length and an unknown type are refused", () => {
    const one = (selector: string) => codeOf(PayloadType.TSr, `01 000000 ${selector}`);
    expect(one(V4)).toBe("decoded");
    expect(one(V4.replace("0a010000", "0a020000"))).toBe("WIRE_BAD_VALUE");
    expect(one(V4.replace("0a010000", "0a01ffff"))).toBe("decoded");
    expect(one(V6.replace("ffff", "ffff").replace("20010db8", "20010db9"))).toBe("WIRE_BAD_VALUE");
    expect(one(V4.replace("01bb 01bb", "01bc 01bb"))).toBe("WIRE_BAD_VALUE");
    for (const length of ["0000", "000f", "0011", "0028"]) {
      expect(one(V4.replace("0010", length))).toBe("WIRE_BAD_LENGTH");
    }
    expect(one(V4.replace("07 06", "08 06"))).toBe("WIRE_BAD_LENGTH");
    const unknown = decode(PayloadType.TSr, `02 000000 0a 00 0008 01020304 ${V4}`);
    expect(unknown.kind === "TSr" && unknown.selectors.map(({ type }) => type)).toEqual([7]);
    expect(decode(PayloadType.TSr, "01 000000 0a 00 0004")).toEqual({ kind: "TSr", selectors: [] });
    expect(one("0a 00 0003")).toBe("WIRE_BAD_LENGTH");
  });

  test("[CHILD-06] ports 65535 to 0 mean OPAQUE; ICMP type and code sit in the port fields", () => {
    const ports = (start: string, end: string) => {
      const payload = decode(PayloadType.TSi, `01 000000 ${V4.replace("01bb 01bb", `${start} ${end}`)}`);
      return payload.kind === "TSi" ? [payload.selectors[0]?.startPort, payload.selectors[0]?.endPort] : [];
    };
    expect(ports("ffff", "0000")).toEqual([65535, 0]);
    expect(() => ports("ffff", "0001")).toThrow(WireError);
    expect(() => ports("fffe", "0000")).toThrow(WireError);
    expect(ports("0800", "08ff")).toEqual([8 * 256, 8 * 256 + 255]);
  });

  test("the count is what there is", () => {
    expect(codeOf(PayloadType.TSi, `02 000000 ${V4}`)).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.TSi, `00 000000 ${V4}`)).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.TSi, "00 000000")).toBe("decoded");
    const most = `${MAX_SELECTORS.toString(16)} 000000 ${V4.repeat(MAX_SELECTORS)}`;
    const payload = decode(PayloadType.TSi, most);
    expect(payload.kind === "TSi" && payload.selectors.length).toBe(MAX_SELECTORS);
    if (payload.kind !== "TSi") return;
    const { selectors } = payload;
    expect(() => encode({ kind: "TSi", selectors: [...selectors, selectors[0]!] })).toThrow(RangeError);
    const short = { ...selectors[0]!, endAddress: new Uint8Array(16) };
    expect(() => encode({ kind: "TSi", selectors: [short] })).toThrow(RangeError);
  });
});

describe("CP", () => {
  test("octets; empty values are valid and the reserved bit is ignored", () => {
    const payload = decode(PayloadType.CP, "01 ffffff 0001 0000 8003 0004 0a000001");
    expect(payload).toEqual({
      kind: "CP",
      cfgType: 1,
      attributes: [
        { type: 1, value: NOTHING },
        { type: 3, value: fromHex("0a000001") },
      ],
    });
    expect(encode(payload)).toBe("0100000000010000000300040a000001");
  });

  test("boundaries", () => {
    expect(codeOf(PayloadType.CP, "010000")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.CP, "01000000")).toBe("decoded");
    expect(codeOf(PayloadType.CP, "01000000 0001 00")).toBe("WIRE_TRUNCATED");
    expect(codeOf(PayloadType.CP, "01000000 0001 0002 00")).toBe("WIRE_TRUNCATED");
    const many = "0001 0000".repeat(MAX_CONFIGURATION_ATTRIBUTES);
    expect(codeOf(PayloadType.CP, `01000000 ${many}`)).toBe("decoded");
    expect(codeOf(PayloadType.CP, `01000000 ${many} 0001 0000`)).toBe("WIRE_TOO_MANY");
    const attribute = { type: 1, value: NOTHING };
    const tooMany = new Array(MAX_CONFIGURATION_ATTRIBUTES + 1).fill(attribute);
    expect(() => encode({ kind: "CP", cfgType: 1, attributes: tooMany })).toThrow(RangeError);
    expect(() => encode({ kind: "CP", cfgType: 1, attributes: [{ ...attribute, type: 0x8000 }] })).toThrow(
      RangeError,
    );
  });
});

describe("EAP", () => {
  test("the length inside is the length outside", () => {
    expect(decode(PayloadType.EAP, "03 07 0004")).toEqual({ kind: "EAP", message: fromHex("03070004") });
    expect(codeOf(PayloadType.EAP, "03 07 00")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.EAP, "01 07 0006 01")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.EAP, "01 07 0004 01")).toBe("WIRE_BAD_LENGTH");
    expect(codeOf(PayloadType.EAP, "01 07 0005 01")).toBe("decoded");
    expect(codeOf(PayloadType.EAP, "")).toBe("WIRE_BAD_LENGTH");
  });
});
