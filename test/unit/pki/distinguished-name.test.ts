/** Names of certificates: which are the same, which fit a pattern, how they are shown (RFC 5280 section 7.1). */
import { expect, test } from "vitest";
import {
  decodeName,
  equalNames,
  isBelow,
  matchesPattern,
  nameText,
} from "../../../src/wire/x509/distinguished-name.ts";
import { name } from "./certificate-maker.ts";
import { der, oid, printableString, sequence, set, utf8String } from "./der-writer.ts";

const named = (text: string, encode?: Parameters<typeof name>[1]) => decodeName(name(text, encode));
const wide = (text: string) =>
  der(
    0x1e,
    Uint8Array.from([...text].flatMap((letter) => [letter.charCodeAt(0) >> 8, letter.charCodeAt(0) & 0xff])),
  );

test("[CERT-11] case, blanks and the type of string do not count, order and everything else does", () => {
  const base = named("C=CH, O=Example AG, CN=Gateway");
  for (const same of [
    named("C=ch, O=example  ag, CN= gateway "),
    named("C=CH, O=Example AG, CN=Gateway", printableString),
    named("C=CH, O=Example AG, CN=Gateway", wide),
  ])
    expect(equalNames(base, same)).toBe(true);
  for (const other of [
    "O=Example AG, C=CH, CN=Gateway",
    "C=CH, O=Example AG",
    "C=CH, O=ExampleAG, CN=Gateway",
    "C=CH, O=Example AG, OU=Gateway",
  ])
    expect(equalNames(base, named(other))).toBe(false);
  expect(equalNames(named("O=Müller"), named("O=MÜLLER"))).toBe(true);
  const [a, b] = [sequence(oid("2.5.4.3"), utf8String("a")), sequence(oid("2.5.4.10"), utf8String("b"))];
  expect(equalNames(decodeName(sequence(set(a, b))), decodeName(sequence(set(b, a))))).toBe(true);
  expect(equalNames(decodeName(sequence(set(a, b))), decodeName(sequence(set(a), set(b))))).toBe(false);
});

test("[CERT-11] no value can look like two attributes", () => {
  expect(equalNames(named("CN=a\u0000O=b"), named("CN=a, O=b"))).toBe(false);
  expect(
    equalNames(
      named("CN=a\u00012.5.4.10=b"),
      decodeName(
        sequence(set(sequence(oid("2.5.4.3"), utf8String("a")), sequence(oid("2.5.4.10"), utf8String("b")))),
      ),
    ),
  ).toBe(false);
});

test("[CERT-09] below a name is what begins with it", () => {
  const base = named("C=CH, O=Example");
  expect(isBelow(named("C=CH, O=example, CN=x"), base)).toBe(true);
  expect(isBelow(base, base)).toBe(true);
  expect(isBelow(named("C=CH"), base)).toBe(false);
  expect(isBelow(named("CN=x, C=CH, O=Example"), base)).toBe(false);
  expect(isBelow(base, named(""))).toBe(true);
});

test("[AUTH-09] in a pattern * stands for one whole value and for nothing else", () => {
  const pattern = named("C=CH, O=Example, CN=*");
  expect(matchesPattern(named("C=CH, O=example, CN=anything at all"), pattern)).toBe(true);
  for (const other of [
    "C=CH, O=Example",
    "C=CH, O=Other, CN=x",
    "C=CH, O=Example, OU=x",
    "C=CH, O=Example, CN=x, CN=y",
  ])
    expect(matchesPattern(named(other), pattern)).toBe(false);
  expect(matchesPattern(named("CN=abc"), named("CN=a*"))).toBe(false);
});

test("names are shown in the order of the encoding, with what would mislead escaped", () => {
  expect(nameText(named("C=CH, O=Example, CN=gw"))).toBe("C=CH, O=Example, CN=gw");
  expect(nameText(named("CN=a+b;C"))).toBe("CN=a\\+b\\;C");
  expect(nameText(decodeName(sequence(set(sequence(oid("1.2.3"), der(0x04, Uint8Array.of(7)))))))).toBe(
    "1.2.3=#040107",
  );
});
