import { describe, expect, test } from "vitest";
import { parsePrefix, prefixRange } from "../../../src/base/address-range.ts";
import { Instant } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { IkeSpi, Spi } from "../../../src/base/spi.ts";
import type { IkeNotice } from "../../../src/ike/notice.ts";
import { noticeWords } from "../../../src/observe/words.ts";
import { parseProposal } from "../../../src/policy/proposal-keyword.ts";
import { addressSelector } from "../../../src/policy/traffic-selector.ts";
import { NotifyType } from "../../../src/wire/ike/registries.ts";

const about = {
  connection: "rome",
  child: "lan",
  remote: { address: parseIpAddress("198.51.100.77")!, port: 500 },
};
const place = { file: "/etc/tungate/tungate.yaml", line: 12 };
const side = (text: string) => [addressSelector(prefixRange(parsePrefix(text)!))];
const wide = { local: side("10.1.0.0/16"), remote: side("10.2.0.0/16") };
const narrow = { local: side("10.1.0.0/24"), remote: side("10.2.0.0/16") };
const GCM = { encr: 20, encrKeyBits: 256, integ: 0, esn: true };
const CBC = { encr: 12, encrKeyBits: 256, integ: 12, esn: true };

const rekeyed = (changes: Extract<IkeNotice, { code: "childSaRekeyed" }>["changes"]): IkeNotice => ({
  ...about,
  code: "childSaRekeyed",
  ikeSa: { initiatorSpi: IkeSpi(new Uint8Array(8)), responderSpi: IkeSpi(new Uint8Array(8)) },
  role: "responder",
  old: { inboundSpi: Spi(1000), outboundSpi: Spi(1001) },
  spis: { inboundSpi: Spi(1002), outboundSpi: Spi(1003) },
  suite: CBC,
  rekeyAt: Instant(60_000),
  changes,
});
const said = (notice: IkeNotice) => noticeWords(notice, Instant(0));

describe("what a rekey changed", () => {
  test("another cipher and what it does to the MTU", () => {
    expect(said(rekeyed({ suite: { before: GCM, after: CBC } }))[1]).toMatch(
      /^it was aes256gcm16-esn before, and the inner MTU is \d+ octets smaller now; with one proposal/,
    );
    expect(said(rekeyed({ suite: { before: CBC, after: GCM } }))[1]).toContain("octets larger now");
    expect(said(rekeyed({ suite: { before: GCM, after: { ...GCM, esn: false } } }))[1]).not.toContain("MTU");
  });

  test("another group, fewer networks", () => {
    expect(said(rekeyed({ ke: { before: 31, after: 0 } }))[1]).toBe(
      "its key exchange was x25519 before and is none now",
    );
    expect(said(rekeyed({ narrowed: { before: wide, after: narrow } })).slice(1)).toEqual([
      "it carries less than before: 10.1.0.0/16 <-> 10.2.0.0/16 became 10.1.0.0/24 <-> 10.2.0.0/16",
      "a peer must not take away networks in a rekey (RFC 7296 section 2.9.2); compare the networks of both sides",
    ]);
    expect(said(rekeyed({}))).toHaveLength(1);
  });
});

describe("a rekey that is refused", () => {
  const refused = (changes: object): IkeNotice =>
    ({
      ...about,
      code: "rekeyRefused",
      notifyType: NotifyType.NO_PROPOSAL_CHOSEN,
      method: 31,
      isRehearsal: true,
      sent: [parseProposal("aes256gcm16-x25519", "esp")],
      place,
      ...changes,
    }) as IkeNotice;

  test("says that PFS differs, and the line to change", () => {
    const lines = said(refused({}));
    expect(lines[0]).toContain("refused the rehearsed rekey (NO_PROPOSAL_CHOSEN)");
    expect(lines[1]).toContain("the key exchange (PFS) differs: we asked for aes256gcm16-x25519");
    expect(lines[2]).toContain("connections.rome.children.lan.esp (tungate.yaml:12)");
    const without = said(refused({ sent: [parseProposal("aes256gcm16", "esp")], isRehearsal: false }));
    expect(without[0]).toContain("refused the rekey");
    expect(without[1]).toContain("it wants a key exchange (PFS)");
  });

  test("names the group that the peer wants", () => {
    const lines = said(refused({ notifyType: NotifyType.INVALID_KE_PAYLOAD, wanted: 14 }));
    expect(lines[1]).toBe("it wants modp2048 as key exchange of the child (PFS), and we asked with x25519");
    expect(lines[2]).toContain("add modp2048 to connections.rome.children.lan.esp (tungate.yaml:12)");
  });
});

test("asking in parts, limits, and answers beside the point", () => {
  const parts = { ...about, code: "askingInParts", notifyType: NotifyType.TS_UNACCEPTABLE } as const;
  expect(said({ ...parts, saPer: "pair", pairs: 4 })).toEqual([
    "198.51.100.77 does not take all networks in one SA (TS_UNACCEPTABLE); asking for each of the 4 pairs in an SA of its own",
    "sa_per: pair in connections.rome.children.lan does so from the start; Cisco and Fortinet need it",
  ]);
  expect(said({ ...parts, saPer: "pair", pairs: 1 })[0]).toContain("without the packet that came first");
  expect(said({ ...parts, saPer: "host", pairs: 1 })[0]).toContain("single addresses only");
  expect(said({ ...about, code: "childLimit", of: "ikeSa", limit: 256 })[0]).toBe(
    "one IKE SA with 198.51.100.77 has 256 child SAs, and no further one is made",
  );
  expect(said({ ...about, code: "childLimit", of: "connection", limit: 9 })[0]).toContain(
    "one connection has 9",
  );
  const sides = { role: "initiator", ours: narrow, theirs: wide } as const;
  expect(said({ ...about, code: "selectorsUnacceptable", ...sides })).toEqual([
    "198.51.100.77 answered with other networks than we asked for",
    "we asked for 10.1.0.0/24 <-> 10.2.0.0/16",
    "it answered   10.1.0.0/16 <-> 10.2.0.0/16",
    "compare the networks of both sides",
  ]);
});
