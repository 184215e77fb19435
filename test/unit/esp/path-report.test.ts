/** Reports about too big packets: which are believed (RFC 4301 section 8.2). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { type PathReport, quotedEsp, refuseReport } from "../../../src/esp/path-report.ts";

const REMOTE = { address: IpAddress(Uint8Array.of(198, 51, 100, 2)), port: 4500 };
const SPI = [0xc0, 0xff, 0xee, 0x01];

function report(mtu: number, quoted: readonly number[] = [...SPI, 0, 0, 0, 9]): PathReport {
  return { origin: "icmp", remote: REMOTE, mtu, quoted: Uint8Array.from(quoted) };
}

test("an ESP header shows SPI and number; IKE, keepalives and eight quoted octets of UDP show none", () => {
  expect(quotedEsp(report(1300))).toEqual({ spi: 0xc0ffee01, sequence: 9 });
  expect(quotedEsp(report(1300, []))).toBeUndefined();
  expect(quotedEsp(report(1300, [...SPI, 0, 0, 0]))).toBeUndefined();
  expect(quotedEsp(report(1300, [0, 0, 0, 0, 1, 2, 3, 4]))).toBeUndefined();
});

describe("[SPD-10] a report is believed", () => {
  test("when it is about a packet that was sent lately, and says less than is known", () => {
    expect(refuseReport(report(1300), 9, 9, 1500)).toBeUndefined();
    expect(refuseReport(report(576), 1, 1000, 1500)).toBeUndefined();
  });

  test.each([
    ["before the first packet", 0, 0],
    ["number 0", 0, 5],
    ["of a packet yet to come", 10, 9],
    ["of long ago", 1, 2 ** 20 + 1],
    ["far beyond", 0xffffffff, 9],
  ])("but not %s", (_what, sequence, last) => {
    expect(refuseReport(report(1300), sequence, last, 1500)).toBe("badSequence");
  });

  test("also where the low half of the number has just wrapped", () => {
    expect(refuseReport(report(1300), 0xfffffffe, 2 ** 32 + 5, 1500)).toBeUndefined();
    expect(refuseReport(report(1300), 6, 2 ** 32 + 5, 1500)).toBe("badSequence");
  });

  test.each([1, 68, 575])("but not with %s octets", (mtu) => {
    expect(refuseReport(report(mtu), 9, 9, 1500)).toBe("absurdMtu");
  });

  test("over IPv6 not with less than every link carries", () => {
    const remote = { address: IpAddress(new Uint8Array(16).fill(1)), port: 0 };
    expect(refuseReport({ ...report(1279), remote }, 9, 9, 1500)).toBe("absurdMtu");
    expect(refuseReport({ ...report(1280), remote }, 9, 9, 1500)).toBeUndefined();
  });

  test.each([1500, 1501, 65_535, 0xffffffff])("but not %s where 1500 is known", (mtu) => {
    expect(refuseReport(report(mtu), 9, 9, 1500)).toBe("notSmaller");
  });

  test("never with a size outside of what is possible", () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(2 ** 40), (mtu, sequence, last) => {
        const isBelieved = refuseReport(report(mtu), sequence, last, 1500) === undefined;
        if (isBelieved) expect(mtu >= 576 && mtu < 1500).toBe(true);
      }),
    );
  });
});
