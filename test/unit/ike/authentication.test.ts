/** When an authentication is repeated, by what we want and by what the peer says. */
import { describe, expect, test } from "vitest";
import { hours, Instant, minutes, seconds } from "../../../src/base/instant.ts";
import {
  lifetimeNotifies,
  newAuthentication,
  shortenAuthentication,
  toldLifetime,
} from "../../../src/ike/sa/authentication.ts";
import type { Connection } from "../../../src/policy/connection.ts";
import type { NotifyPayload } from "../../../src/wire/ike/payload.ts";
import { seededRandom } from "../../sim/ike-random.ts";
import { connection, LAN_A } from "../../sim/ike-world.ts";

const NOW = Instant(0);
const random = seededRandom(1);
const plain = connection("192.0.2.2", [LAN_A], { ike: { rekey: { time: hours(4), jitter: 0 } } });
const limited: Connection = { ...plain, ike: { ...plain.ike, reauth: hours(24) } };

function lifetime(data: readonly number[]): NotifyPayload {
  const nothing = new Uint8Array(0);
  return { kind: "N", protocolId: 0, notifyType: 16403, spi: nothing, data: Uint8Array.from(data) };
}

describe("as its initiator", () => {
  test("[LIFE-01] the sooner of both ends' limits counts, the peer's with time to spare", () => {
    const at = (of: Connection, told?: ReturnType<typeof minutes>) =>
      newAuthentication(of, "us", told, NOW, random).renewAt;
    expect(at(plain)).toBeUndefined();
    expect(at(plain, minutes(100))).toBe(minutes(90));
    expect(at(limited)).toBe(hours(24));
    expect(at(limited, minutes(100))).toBe(minutes(90));
    expect(at(limited, hours(48))).toBe(hours(24));
  });

  test("[LIFE-01] a peer that announces no time at all does not make us call without end", () => {
    for (const told of [seconds(0), seconds(1)])
      expect(newAuthentication(plain, "us", told, NOW, random).renewAt).toBe(seconds(9));
  });

  test("[LIFE-02] the peer may say it again, sooner or for the first time; later than before counts for nothing", () => {
    const authentication = newAuthentication(plain, "us", undefined, NOW, random);
    shortenAuthentication(authentication, minutes(10), NOW);
    expect(authentication.renewAt).toBe(minutes(9));
    shortenAuthentication(authentication, minutes(20), NOW);
    expect(authentication.renewAt).toBe(minutes(9));
    shortenAuthentication(authentication, minutes(5), NOW);
    expect(authentication.renewAt).toBe(minutes(4.5));
  });
});

describe("as its responder", () => {
  test("[LIFE-03] the peer is told in seconds, and only that", () => {
    expect(lifetimeNotifies(plain)).toEqual([]);
    expect(lifetimeNotifies(limited)).toEqual([lifetime([0, 1, 0x51, 0x80])]);
  });

  test("[LIFE-03] it has a tenth more before we call, if there is somebody to call, and a quarter before the end", () => {
    const callable = newAuthentication(limited, "peer", undefined, NOW, random);
    expect(callable).toMatchObject({ renewAt: hours(24) * 1.1, endsAt: hours(30) });
    const open: Connection = { ...limited, remote: { ...limited.remote, addresses: [] } };
    expect(newAuthentication(open, "peer", undefined, NOW, random)).toMatchObject({
      renewAt: undefined,
      endsAt: hours(30),
    });
  });

  test("[LIFE-02] what an initiator says of it is no concern of the responder's", () => {
    const authentication = newAuthentication(plain, "peer", undefined, NOW, random);
    shortenAuthentication(authentication, minutes(10), NOW);
    expect(authentication.renewAt).toBeUndefined();
  });
});

test("[LIFE-02] an AUTH_LIFETIME of another length says nothing", () => {
  expect(toldLifetime([lifetime([0, 0, 0x0e, 0x10])])).toBe(hours(1));
  expect(toldLifetime([lifetime([0, 0x0e, 0x10])])).toBeUndefined();
  expect(toldLifetime([lifetime([0, 0, 0, 0x0e, 0x10])])).toBeUndefined();
  expect(toldLifetime([])).toBeUndefined();
});
