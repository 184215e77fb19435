import { describe, expect, test } from "vitest";
import {
  ECN_CE,
  ECN_DROP,
  ECN_ECT_0,
  ECN_ECT_1,
  ECN_NOT_ECT,
  mergedTos,
  outerTos,
} from "../../../src/esp/ecn.ts";
import { DSCP_COPY } from "../../../src/policy/sa-table.ts";

const ALL = [ECN_NOT_ECT, ECN_ECT_1, ECN_ECT_0, ECN_CE];
const EF = 46 << 2;
const AF11 = 10 << 2;

test("[ECN-01] normal mode copies the inner field, compatibility mode clears it", () => {
  for (const ecn of ALL) {
    expect(outerTos(EF | ecn, DSCP_COPY, 0)).toBe(EF | ecn);
    expect(outerTos(EF | ecn, DSCP_COPY, 1)).toBe(EF);
  }
});

test("[SPD-08] the DSCP is copied or set, without touching ECN", () => {
  expect(outerTos(EF | ECN_CE, 10, 0)).toBe(AF11 | ECN_CE);
  expect(outerTos(EF | ECN_ECT_0, 0, 1)).toBe(0);
  expect(outerTos(EF | ECN_ECT_0, 63, 0)).toBe(0xfc | ECN_ECT_0);
});

describe("decapsulation", () => {
  // Rows: inner; columns: outer Not-ECT, ECT(0), ECT(1), CE (RFC 6040 figure 4).
  const columns = [ECN_NOT_ECT, ECN_ECT_0, ECN_ECT_1, ECN_CE];
  const table: readonly [number, readonly number[], string][] = [
    [ECN_NOT_ECT, [ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, ECN_DROP], "not ECT"],
    [ECN_ECT_0, [ECN_ECT_0, ECN_ECT_0, ECN_ECT_1, ECN_CE], "ECT(0)"],
    [ECN_ECT_1, [ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, ECN_CE], "ECT(1)"],
    [ECN_CE, [ECN_CE, ECN_CE, ECN_CE, ECN_CE], "CE"],
  ];
  for (const [inner, expected, name] of table)
    test(`[ECN-02] [ECN-03] [ECN-04] ${name} inside each outer field`, () => {
      for (const [i, outer] of columns.entries()) {
        const result = expected[i] === ECN_DROP ? ECN_DROP : EF | expected[i]!;
        expect(mergedTos(EF | inner, AF11 | outer)).toBe(result);
      }
    });
});
