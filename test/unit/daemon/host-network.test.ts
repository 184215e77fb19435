/** Following the host: paths before plan, routes applied when they differ, one run at a time. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { HostNetworkFollower, type HostNetworkOptions } from "../../../src/daemon/host-network.ts";
import type { NetworkWatch } from "../../../src/io/netlink.ts";

const address = (text: string) => IpAddress(parseIpAddress(text)!);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function watch(routeMtu?: number): NetworkWatch {
  return {
    snapshot: async () => ({
      links: [{ index: 2, name: "wan0", mtu: 1400, isUp: true }],
      addresses: [
        { address: address("192.0.2.1"), bits: 24, link: 2, isUsable: true },
        { address: address("fe80::1"), bits: 64, link: 2, isUsable: false },
      ],
    }),
    routeTo: async (remote) =>
      remote.length === 4
        ? { source: address("192.0.2.1"), link: 2, ...(routeMtu === undefined ? {} : { mtu: routeMtu }) }
        : undefined,
    follow: async () => ({ kind: "local" }),
    setLinkUp: async () => undefined,
    addAddress: async () => undefined,
    removeAddress: async () => undefined,
    close: () => undefined,
  };
}

function follower(more: Partial<HostNetworkOptions> = {}) {
  const log: string[] = [];
  const lines = { value: ["table 220"] };
  const made = new HostNetworkFollower({
    watch: watch(),
    mark: 1,
    remotes: () => [address("198.51.100.2"), address("2001:db8::2")],
    onPaths: (paths) => log.push(`paths ${[...paths].map(([to, { mtu }]) => `${to} ${mtu}`).join()}`),
    plan(own) {
      log.push(`plan with ${own.length} own`);
      return { lines: lines.value, notes: [] };
    },
    prepare: async () => {
      log.push("prepare");
      return [];
    },
    apply: async (applied) => {
      log.push(`apply ${applied.join()}`);
      return { isComplete: true, complaints: [] };
    },
    onComplaints: (complaints) => log.push(`complaints ${complaints.join()}`),
    ...more,
  });
  return { made, log, lines };
}

test("paths come first, then the plan, devices, routes; an address without a way has no path", async () => {
  const { made, log } = follower();
  await made.refresh();
  expect(log).toEqual(["paths 198.51.100.2 1400", "plan with 1 own", "prepare", "apply table 220"]);
});

test("the MTU of the route wins over the link's where it is smaller", async () => {
  const { made, log } = follower({ watch: watch(1300) });
  await made.refresh();
  expect(log[0]).toBe("paths 198.51.100.2 1300");
});

test("the same plan is not applied again at once, but is looked after later", async () => {
  const { made, log } = follower();
  await made.refresh();
  await made.refresh();
  expect(log.filter((line) => line.startsWith("apply"))).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(log.filter((line) => line.startsWith("apply"))).toHaveLength(2);
  await made.close();
});

test("another plan is applied at once", async () => {
  const { made, log, lines } = follower();
  await made.refresh();
  lines.value = ["table 221"];
  await made.refresh();
  expect(log.filter((line) => line.startsWith("apply"))).toEqual(["apply table 220", "apply table 221"]);
  await made.close();
});

test("changes during a run lead to one more run", async () => {
  const { made, log } = follower();
  await Promise.all([made.refresh(), made.refresh(), made.refresh()]);
  expect(log.filter((line) => line.startsWith("plan"))).toHaveLength(2);
  await made.close();
});

test("what the script could not do is tried again, and said once", async () => {
  const apply = vi.fn(async () => ({ isComplete: false, complaints: ["no such device"] }));
  const { made, log } = follower({ apply });
  await made.refresh();
  await vi.advanceTimersByTimeAsync(11_000);
  expect(apply.mock.calls.length).toBeGreaterThan(1);
  expect(log.filter((line) => line.startsWith("complaints"))).toEqual(["complaints no such device"]);
  await made.close();
});

test("what failed is tried again, without a further change of the host", async () => {
  let failures = 0;
  const { made, log } = follower({
    prepare: async () => {
      if (failures++ === 0) throw new Error("no answer");
      return [];
    },
  });
  await expect(made.refresh()).rejects.toThrow("no answer");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(log.filter((line) => line.startsWith("apply"))).toHaveLength(1);
  await made.close();
});

test("a closed follower starts nothing", async () => {
  const { made, log } = follower({ apply: async () => ({ isComplete: false, complaints: [] }) });
  await made.refresh();
  await made.close();
  const before = log.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log).toHaveLength(before);
});

test("looks that peers cause take a small part of the time, and none is forgotten", async () => {
  let looks = 0;
  const { made } = follower({
    prepare: async () => {
      looks++;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return [];
    },
    // Another plan each time, which has to be prepared for.
    plan: () => ({ lines: [`table ${looks}`], notes: [] }),
  });
  const never = (error: unknown) => {
    throw error;
  };
  for (let ms = 0; ms < 10_000; ms += 10) {
    made.refreshForPeer(never);
    await vi.advanceTimersByTimeAsync(10);
  }
  const during = looks;
  expect(during).toBeGreaterThan(6);
  expect(during).toBeLessThan(11);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(looks).toBe(during + 1);
  made.refreshForPeer(never);
  await made.close();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(looks).toBe(during + 1);
});

test("what concerns one peer's packets alone is planned anew without a look at the ways to all the others", async () => {
  const { made, log, lines } = follower();
  const never = (error: unknown) => {
    throw error;
  };
  await made.refresh();
  lines.value = ["table 221"];
  made.planForPeer(never);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(log.slice(4)).toEqual(["plan with 1 own", "prepare", "apply table 221"]);
  // A look that is wanted as well is not left out for it.
  lines.value = ["table 222"];
  made.planForPeer(never);
  made.refreshForPeer(never);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(log.slice(7)).toEqual(["paths 198.51.100.2 1400", "plan with 1 own", "prepare", "apply table 222"]);
  await made.close();
});

test("the first plan looks at the host, and so does the one after a look that failed", async () => {
  let failures = 0;
  const { made, log } = follower({
    watch: {
      ...watch(),
      snapshot: async () => {
        if (failures++ === 0) throw new Error("no answer");
        return watch().snapshot();
      },
    },
  });
  const errors: unknown[] = [];
  made.planForPeer((error) => errors.push(error));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(errors).toHaveLength(1);
  expect(log[0]).toBe("paths 198.51.100.2 1400");
  await made.close();
});
