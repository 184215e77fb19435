/** Foreign text on a terminal, identities in the configuration's notation, spans of time, and names of drops. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { identity } from "../../../src/config/identity.ts";
import { DROP_REASONS } from "../../../src/dataplane/drop-reason.ts";
import { dropWords, isWorthALook, LANE_DROPS } from "../../../src/observe/drop-words.ts";
import { escapeForeign, FOREIGN_TEXT_LENGTH_MAX } from "../../../src/observe/escape.ts";
import { identityText, isConfigurable } from "../../../src/observe/identity-text.ts";
import { spanText } from "../../../src/observe/span-text.ts";
import { matchIdentity } from "../../../src/policy/pad.ts";
import { IdType } from "../../../src/wire/ike/registries.ts";
import { name } from "../pki/certificate-maker.ts";

test("controls, directions and invisible characters are written out, the rest stays", () => {
  expect(escapeForeign("gw-b.example.net")).toBe("gw-b.example.net");
  expect(escapeForeign("Zürich 東京")).toBe("Zürich 東京");
  expect(escapeForeign("\u001b[31m\r\n\u009b\u202e\u200b\u2028\ud800")).toBe(
    "\\u{1b}[31m\\u{d}\\u{a}\\u{9b}\\u{202e}\\u{200b}\\u{2028}\\u{d800}",
  );
  expect(escapeForeign("\\u{1b}")).toBe("\\\\u{1b}");
});

test("no text leaves a control character, and no text is longer than its limit allows", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (foreign) => {
      const shown = escapeForeign(foreign);
      expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(shown.length).toBeLessThanOrEqual(FOREIGN_TEXT_LENGTH_MAX * 10 + 3);
    }),
  );
});

test("an identity that is shown can be configured as it is shown", () => {
  const domain = fc.domain();
  const octets = fc.uint8Array({ minLength: 1, maxLength: 40 });
  const id = fc.oneof(
    domain.map((name) => ({ idType: IdType.FQDN, data: utf8(name) })),
    fc.ipV4().map((address) => ({
      idType: IdType.IPV4_ADDR,
      data: Uint8Array.from(address.split(".").map(Number)),
    })),
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((data) => ({ idType: IdType.IPV6_ADDR, data })),
    domain.map((name) => ({ idType: IdType.RFC822_ADDR, data: utf8(`joe@${name}`) })),
    octets.map((data) => ({ idType: IdType.KEY_ID, data })),
  );
  fc.assert(
    fc.property(id, (value) => {
      expect(isConfigurable(value)).toBe(true);
      expect(identity(identityText(value))).toEqual({ ...value, data: new Uint8Array(value.data) });
    }),
  );
});

test("a distinguished name can be configured unless it has what the configuration cannot say", () => {
  const named = (text: string) => ({ idType: IdType.DER_ASN1_DN, data: name(text) });
  for (const text of [
    "CN=gw",
    "C=CH, O=Example, OU=gates, CN=gw-a.example.net",
    "DC=net, DC=example, E=a@b.test",
  ]) {
    expect(identityText(named(text))).toBe(`dn:${text}`);
    expect([isConfigurable(named(text)), identity(`dn:${text}`)]).toEqual([
      true,
      expect.objectContaining({ idType: IdType.DER_ASN1_DN }),
    ]);
    expect(matchIdentity(identity(`dn:${text}`), named(text))).toBe(true);
  }
  const hostile = named("CN=\u001b[2J\u202e<script>");
  expect(identityText(hostile)).toBe("dn:CN=\\u{1b}[2J\\u{202e}\\\\<script\\\\>");
  for (const one of [hostile, named("CN=a+b"), named("CN=*"), named("1.2.3.4=a")])
    expect([identityText(one), isConfigurable(one)]).toEqual([expect.stringMatching(/^dn:/), false]);
});

test("identities that do not follow their type are shown as octets", () => {
  expect(identityText({ idType: IdType.IPV4_ADDR, data: Uint8Array.of(1, 2) })).toBe("IPV4_ADDR:0x0102");
  expect(identityText({ idType: IdType.DER_ASN1_DN, data: Uint8Array.of(0x30, 0) })).toBe(
    "DER_ASN1_DN:0x3000",
  );
  expect(identityText({ idType: 200, data: new Uint8Array(100) })).toMatch(
    /^unknown \(200\):0x(00){64}\.\.\.$/,
  );
  expect(identityText({ idType: IdType.FQDN, data: Uint8Array.of(0xff) })).toBe("FQDN:0xff");
});

test("spans are two units", () => {
  const texts = [0, 59.9, 60, 61, 599, 600, 3599, 3600, 3660, 86_399, 86_400, 90_000, 273_600].map(spanText);
  expect(texts).toEqual([
    "0 s",
    "59 s",
    "1 min",
    "1 min 1 s",
    "9 min 59 s",
    "10 min",
    "59 min",
    "1 h",
    "1 h 1 min",
    "23 h 59 min",
    "1 d",
    "1 d 1 h",
    "3 d 4 h",
  ]);
  expect(spanText(-5)).toBe("0 s");
});

test("every reason to drop a packet has words, and ends that are meant to be are not shown", () => {
  const ofTheAddon = ["oversized", "badDatagrams", "badVnetHeader"];
  expect(Object.keys(LANE_DROPS).sort()).toEqual([...DROP_REASONS, ...ofTheAddon].sort());
  for (const reason of DROP_REASONS) expect(dropWords(reason)).toBe(LANE_DROPS[reason]);
  expect(dropWords("somethingNew")).toBe("somethingNew");
  expect([isWorthALook("keepalive"), isWorthALook("replayed")]).toEqual([false, true]);
});
