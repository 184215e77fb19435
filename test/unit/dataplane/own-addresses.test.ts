/** Which outer addresses are ours follows the endpoints of the SAs, and is looked at again only when that changes. */
import { expect, test } from "vitest";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { OwnAddresses } from "../../../src/dataplane/own-addresses.ts";
import { outerPath } from "../../../src/policy/endpoint-record.ts";
import { formatSaTable, Header, saTableRegions } from "../../../src/policy/sa-table.ts";
import { SadWriter } from "../../../src/policy/sad-writer.ts";
import { createPacketKey, Key, writeAddressWords } from "../../../src/policy/selector-record.ts";
import { endpoint } from "./gateway-fixture.ts";

test("an address is ours from its first endpoint to its last, and other peers change nothing", () => {
  const size = { slots: 8, endpoints: 8, policies: 1, lanes: 1 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const writer = new SadWriter(table);
  const own = new OwnAddresses(table);
  const has = (address: string) => {
    own.refresh();
    const key = createPacketKey();
    writeAddressWords(key, Key.LOCAL_ADDRESS, parseIpAddress(address)!);
    key[Key.FAMILY] = 4;
    return own.hasLocal(key);
  };
  const generation = () => table.u32[Header.ENDPOINT_GENERATION / 4]!;
  const take = (local: string, remote: string) =>
    writer.takeEndpoint(outerPath(endpoint(local), endpoint(remote), "udp"));

  expect(has("192.0.2.1")).toBe(false);
  const first = take("192.0.2.1", "198.51.100.1");
  expect(has("192.0.2.1")).toBe(true);
  const before = generation();
  const second = take("192.0.2.1", "198.51.100.2");
  writer.dropEndpoint(first);
  expect(generation()).toBe(before);
  expect(has("192.0.2.1")).toBe(true);
  take("192.0.2.9", "198.51.100.2");
  expect(has("192.0.2.9")).toBe(true);
  writer.dropEndpoint(second);
  expect([has("192.0.2.1"), has("192.0.2.9")]).toEqual([false, true]);
});
