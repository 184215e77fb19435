import { describe, expect, test } from "vitest";
import { FLOW_UNKNOWN, FlowCache } from "../../../src/dataplane/flow-cache.ts";
import { createPacketKey, Key, type PacketKey } from "../../../src/policy/selector-record.ts";

function keyOf(flow: number): PacketKey {
  const key = createPacketKey();
  const isV6 = flow % 2 === 1;
  key[Key.FAMILY] = isV6 ? 6 : 4;
  key[Key.PROTOCOL] = flow % 3 === 0 ? 6 : 17;
  key[Key.LOCAL_PORT] = flow % 7;
  key[Key.REMOTE_PORT] = flow % 11;
  key[Key.LOCAL_ADDRESS] = 0x0a010000 + (flow % 13);
  key[Key.REMOTE_ADDRESS] = 0x0a020000 + Math.floor(flow / 200);
  if (isV6) {
    key[Key.LOCAL_ADDRESS + 3] = flow % 17;
    key[Key.REMOTE_ADDRESS + 1] = flow;
  }
  return key;
}

describe("the flow cache", () => {
  test("gives back what was stored or nothing, never another flow's answer", () => {
    const cache = new FlowCache();
    const flows = 20_000;
    for (let flow = 0; flow < flows; flow++) {
      cache.store(keyOf(flow), 0, flow);
      cache.store(keyOf(flow), 1, -2);
    }
    const answers = new Map<string, number>();
    for (let flow = 0; flow < flows; flow++) answers.set(keyOf(flow).join(), flow);
    let known = 0;
    for (let flow = 0; flow < flows; flow++) {
      const expected = answers.get(keyOf(flow).join())!;
      const found = cache.find(keyOf(flow), 0);
      expect([FLOW_UNKNOWN, expected]).toContain(found);
      expect([FLOW_UNKNOWN, -2]).toContain(cache.find(keyOf(flow), 1));
      expect(cache.find(keyOf(flow), 2)).toBe(FLOW_UNKNOWN);
      if (found !== FLOW_UNKNOWN) known++;
    }
    expect(known).toBeGreaterThan(500);
  });

  test("a change of any word of the key is another flow", () => {
    const cache = new FlowCache();
    const key = keyOf(1);
    cache.store(key, 0, 5);
    expect(cache.find(key, 0)).toBe(5);
    for (let word = 0; word < Key.LENGTH; word++) {
      const other = key.slice();
      other[word] = other[word]! ^ 1;
      expect(cache.find(other, 0)).toBe(FLOW_UNKNOWN);
    }
  });

  test("forgets everything at once", () => {
    const cache = new FlowCache();
    cache.store(keyOf(1), 0, 5);
    cache.clear();
    expect(cache.find(keyOf(1), 0)).toBe(FLOW_UNKNOWN);
  });
});
