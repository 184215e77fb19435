import { describe, expect, test } from "vitest";
import { load } from "./memory-reader.ts";

const configuration = (classes: string) => `version: 1
connections:
  paris:
    remote: { address: 198.51.100.2 }
    psk: { file: psk }
    children:
      lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, dscp_sas: ${classes} }
`;
const world = { files: { psk: "0123456789abcdef0123456789abcdef" } };
const classesOf = (text: string) =>
  load(configuration(text), world).connections[0]!.connection.children[0]!.dscpClasses;

describe("dscp_sas", () => {
  test("takes numbers and names, alone or in lists", () => {
    expect(classesOf("[ef, [10, AF12, af13], cs6]")).toEqual([[46], [10, 12, 14], [48]]);
    expect(classesOf("[va, le, df, cs0, af43]".replace("cs0, ", ""))).toEqual([[44], [1], [0], [38]]);
  });

  test.each([
    ["[64]", "a DSCP"],
    ["[-1]", "a DSCP"],
    ["[af14]", "has to be a DSCP"],
    ["[cs8]", "has to be a DSCP"],
    ["[ef, [10, 46]]", "names DSCP 46 twice"],
    ["[0, 1, 2, 3, 4, 5, 6, 7, 8]", "8"],
    ["{ ef: 1 }", ""],
  ])("refuses %s", (text, words) => {
    expect(() => classesOf(text)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(words) }),
    );
  });
});
