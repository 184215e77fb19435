/** scripts/tungate-routes in namespaces: what it leaves alone matters as much as what it makes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BackgroundProcess, type Outcome, run, until } from "./harness/command.ts";
import { Namespace } from "./harness/namespace.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";

const SCRIPT = join(ROOT, "scripts/tungate-routes");
const MARK = 0x54470000;

const BASIC = `
  device tg0
  protect 10.2.0.0/16 dev tg0 src 10.1.0.1 mtu 1400
  protect 2001:db8:2::/48 dev tg0 src 2001:db8:1::1 mtu 1400`;

describeWith(["tun"], "tungate-routes", () => {
  let gateway: Namespace;
  let folder: string;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "tungate-routes-"));
    gateway = await Namespace.create("gw");
    await gateway.ip(`
      addr add 10.1.0.1/24 dev lo
      addr add 2001:db8:1::1/64 dev lo
      link add wan0 type veth peer name wan1
      addr add 192.0.2.1/24 dev wan0
      addr add 2001:db8:ff::1/64 dev wan0 nodad
      link set wan0 up
      link set wan1 up
      route add default via 192.0.2.254
      route add default via 2001:db8:ff::fe
      tuntap add dev tg0 mode tun multi_queue
      link set tg0 up`);
  });
  afterEach(async () => {
    await gateway.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const script = (words: readonly string[], lines = "", env: Record<string, string> = {}): Promise<Outcome> =>
    gateway.run([SCRIPT, ...words], { input: lines, mayFail: true, env });
  const apply = (lines: string) => script(["apply"], lines);
  const shown = async (words: string): Promise<string> =>
    (await gateway.run(["ip", ...words.split(" ")], { mayFail: true })).stdout;
  const everything = async (): Promise<string> =>
    (
      await Promise.all(
        ["-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule"].map(shown),
      )
    ).join("");
  /** Where an unmarked packet to this address goes: a device, `unreachable`, or the gateway's default route. */
  const wayTo = async (address: string, words: readonly string[] = []): Promise<string> => {
    const outcome = await gateway.run(["ip", "route", "get", address, ...words], { mayFail: true });
    if (outcome.status !== 0) return "unreachable";
    return /dev (\S+)/.exec(outcome.stdout)?.[1] ?? "unreachable";
  };

  test("protected prefixes go into the TUN device with source and MTU, the rest as before", async () => {
    const outcome = await apply(BASIC);

    expect(outcome).toMatchObject({ status: 0, stderr: "" });
    expect(await shown("route get 10.2.3.4")).toMatch(/dev tg0 .*src 10.1.0.1[\s\S]*mtu 1400/);
    expect(await shown("route get 2001:db8:2::9")).toMatch(/dev tg0 .*src 2001:db8:1::1[\s\S]*mtu 1400/);
    expect(await wayTo("10.3.0.1")).toBe("wan0");
    expect(await wayTo("2001:db8:3::1")).toBe("wan0");
  });

  test("packets with the gateway's mark pass by", async () => {
    await apply(BASIC);

    expect(await wayTo("10.2.3.4", ["mark", String(MARK)])).toBe("wan0");
    expect(await wayTo("10.2.3.4", ["mark", String(MARK | 0x1234)])).toBe("wan0");
    expect(await wayTo("10.2.3.4", ["mark", "0x1234"])).toBe("tg0");
  });

  test("applied again, nothing changes", async () => {
    await apply(BASIC);
    const before = await everything();
    const monitor = new BackgroundProcess(
      gateway.command(["ip", "monitor", "route", "rule"]),
      join(folder, "monitor"),
    );
    // Made anew each time: the kernel says nothing about a route that is replaced by the same.
    await until("the monitor listens", async () => {
      await gateway.ip("route add 198.51.100.0/24 dev wan0\nroute del 198.51.100.0/24 dev wan0");
      return /198\.51\.100/.test(monitor.log());
    });

    const outcome = await apply(BASIC);
    await gateway.ip("route add 203.0.113.0/24 dev wan0\nroute del 203.0.113.0/24 dev wan0");
    await until("the monitor saw the end", () => /Deleted 203\.0\.113/.test(monitor.log()));
    await monitor.stop();

    expect(outcome.stdout).toBe("changed 0\n");
    expect(await everything()).toBe(before);
    expect(monitor.log()).not.toMatch(/10\.2\.|2001:db8:2|fwmark/);
  });

  test("lines that are told to their end count, those that break off do not", async () => {
    expect(await script(["apply", "--whole"], `${BASIC}\nend`)).toMatchObject({ status: 0, stderr: "" });
    const before = await everything();
    for (const words of [
      ["apply", "--whole"],
      ["clear", "--whole"],
    ])
      for (const lines of ["", "device tg0\n"]) expect((await script(words, lines)).status).toBe(2);
    expect(await everything()).toBe(before);
    expect(await wayTo("10.2.3.4")).toBe("tg0");
    expect((await script(["clear", "--whole"], "on-exit open\nend\n")).status).toBe(0);
    expect(await wayTo("10.2.3.4")).toBe("wan0");
  });

  test("only what differs is touched when the wanted state changes", async () => {
    await apply(`${BASIC}\nprotect 10.4.0.0/16 dev tg0\nthrow 10.2.9.0/24`);

    const outcome = await apply(`${BASIC.replace("mtu 1400", "mtu 1300")}\nprotect 10.5.0.0/16 dev tg0`);

    // The MTU of one, two routes for 10.5, two for 10.4 away, the throw away, and the inbound filter.
    expect(outcome).toMatchObject({ status: 0, stderr: "", stdout: "changed 7\n" });
    expect(await shown("route get 10.2.3.4")).toContain("mtu 1300");
    expect(await wayTo("10.4.0.1")).toBe("wan0");
    expect(await wayTo("10.5.0.1")).toBe("tg0");
    expect(await wayTo("10.2.9.1")).toBe("tg0");
  });

  test("without the device a protected prefix is unreachable, not open", async () => {
    await apply(BASIC);

    await gateway.ip("link del tg0");

    expect(await wayTo("10.2.3.4")).toBe("unreachable");
    expect(await wayTo("2001:db8:2::9")).toBe("unreachable");
  });

  test("a route that fails is reported and leaves its prefix closed; the others are made", async () => {
    const outcome = await apply(`${BASIC}
      protect 10.6.0.0/16 dev tg0 src 10.77.0.1
      protect 10.7.0.0/16 dev tg9
      protect 10.8.0.0/16 dev tg0`);

    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toMatch(
      /10\.6\.0\.0\/16 is not routed into tg0: .*; it stays unreachable\..*is 10\.77\.0\.1 an address of this host\?/,
    );
    expect(outcome.stderr).toMatch(/10\.7\.0\.0\/16 is not routed into tg9/);
    expect(await wayTo("10.6.0.1")).toBe("unreachable");
    expect(await wayTo("10.7.0.1")).toBe("unreachable");
    expect(await wayTo("10.8.0.1")).toBe("tg0");
    expect(await wayTo("10.2.0.1")).toBe("tg0");
    const again = await apply(
      `${BASIC}\nprotect 10.6.0.0/16 dev tg0\nprotect 10.7.0.0/16 dev tg0\nprotect 10.8.0.0/16 dev tg0`,
    );
    expect(again.status).toBe(0);
    expect(await wayTo("10.6.0.1")).toBe("tg0");
  });

  test("no moment of a change leaves a protected prefix open", async () => {
    await apply(BASIC);
    const states = [
      BASIC,
      `${BASIC.replaceAll("mtu 1400", "mtu 1380")}\nprotect 10.0.0.0/8 dev tg0\nthrow 10.2.9.0/24`,
      BASIC.replaceAll(/protect (\S+) dev.*/g, "guard $1"),
    ];
    const probe = new BackgroundProcess(
      gateway.command([
        "sh",
        "-c",
        "while :; do ip route get 10.2.3.4 || echo closed; ip route get 2001:db8:2::9 || echo closed; done",
      ]),
      join(folder, "probe"),
    );

    for (let round = 0; round < 6; round += 1)
      for (const state of states) expect((await apply(state)).status).toBe(0);
    await script(["clear"], BASIC);
    await probe.stop();

    const ways = probe.log().split("\n");
    expect(ways.filter((line) => line.includes("tg0")).length).toBeGreaterThan(10);
    expect(ways.filter((line) => line.includes("wan0"))).toEqual([]);
  });

  test("clear with on-exit block keeps what closes; with open it removes all of ours", async () => {
    const before = await everything();
    await apply(BASIC);

    expect((await script(["clear"], BASIC)).status).toBe(0);
    expect(await wayTo("10.2.3.4")).toBe("unreachable");
    expect(await wayTo("10.3.0.1")).toBe("wan0");
    expect((await script(["clear"], `${BASIC}\non-exit open`)).status).toBe(0);
    expect(await wayTo("10.2.3.4")).toBe("wan0");
    expect(await everything()).toBe(before);
    expect((await gateway.run(["nft", "list", "ruleset"], { mayFail: true })).stdout).toBe("");
  });

  test("a protected default route makes no loop and cuts no link off", async () => {
    const outcome = await apply(`
      protect 0.0.0.0/0 dev tg0
      protect ::/0 dev tg0
      throw 192.0.2.0/24
      throw 2001:db8:ff::/64
      throw 203.0.113.7/32`);

    expect(outcome).toMatchObject({ status: 0, stderr: "" });
    expect(await wayTo("198.51.100.1")).toBe("tg0");
    expect(await wayTo("2001:db8:77::1")).toBe("tg0");
    expect(await wayTo("203.0.113.7")).toBe("wan0");
    expect(await wayTo("203.0.113.8", ["mark", String(MARK)])).toBe("wan0");
    expect(await wayTo("192.0.2.77")).toBe("wan0");
    expect(await wayTo("192.0.2.1")).toBe("lo");
    expect(await wayTo("169.254.1.1")).toBe("wan0");
    expect(await wayTo("fe80::1", ["oif", "wan0"])).toBe("wan0");
    await gateway.ip("link del tg0");
    expect(await wayTo("198.51.100.1")).toBe("unreachable");
    expect(await wayTo("203.0.113.7")).toBe("wan0");
  });

  test("a prefix that is both protected and thrown stays protected", async () => {
    const outcome = await apply(`${BASIC}\nthrow 10.2.0.0/16`);

    expect(outcome.status).toBe(0);
    expect(outcome.stderr).toContain("10.2.0.0/16 is both protected and thrown; it stays protected");
    expect(await wayTo("10.2.3.4")).toBe("tg0");
  });

  test("a throw becomes a protected prefix and the reverse", async () => {
    await apply(
      `${BASIC}\nprotect 10.0.0.0/8 dev tg0\nthrow 10.3.0.0/16\nprotect 2001:db8::/32 dev tg0\nthrow 2001:db8:3::/48`,
    );
    expect(await wayTo("10.3.0.1")).toBe("wan0");
    expect(await wayTo("2001:db8:3::1")).toBe("wan0");

    expect(
      (await apply(`${BASIC}\nprotect 10.3.0.0/16 dev tg0\nprotect 2001:db8:3::/48 dev tg0`)).stderr,
    ).toBe("");
    expect(await wayTo("10.3.0.1")).toBe("tg0");
    expect(await wayTo("2001:db8:3::1")).toBe("tg0");
    expect((await apply(`${BASIC}\nthrow 10.3.0.0/16\nthrow 2001:db8:3::/48`)).stderr).toBe("");
    expect(await wayTo("10.3.0.1")).toBe("wan0");
    expect(await wayTo("2001:db8:3::1")).toBe("wan0");
  });

  test("a narrowed bypass is a rule with protocol and ports", async () => {
    const lines = `${BASIC}\nbypass to 10.2.0.0/16 proto 6 dport 443\nbypass from 10.1.0.0/24 to 10.2.8.0/24`;
    expect(await apply(lines)).toMatchObject({ status: 0, stderr: "" });

    expect(await wayTo("10.2.3.4", ["ipproto", "tcp", "dport", "443"])).toBe("wan0");
    expect(await wayTo("10.2.3.4", ["ipproto", "tcp", "dport", "80"])).toBe("tg0");
    expect(await wayTo("10.2.8.1", ["from", "10.1.0.1"])).toBe("wan0");
    expect((await apply(lines)).stdout).toBe("changed 0\n");
    await apply(BASIC);
    expect(await wayTo("10.2.3.4", ["ipproto", "tcp", "dport", "443"])).toBe("tg0");
    expect(await shown("rule")).not.toMatch(/goto|nop/);
  });

  test("routes, rules and tables of others stay as they are", async () => {
    await gateway.ip(`
      route add 10.9.0.0/16 dev wan0 table 220
      route add 172.16.0.0/12 via 192.0.2.253
      rule add from 10.66.0.0/16 lookup 77 priority 220
      rule add from 10.67.0.0/16 lookup main priority 219`);
    const before = await everything();

    await apply(`${BASIC}\nbypass to 10.2.0.0/16 proto 17`);
    await script(["clear"], `${BASIC}\non-exit open`);

    expect(await everything()).toBe(before);
  });

  test("another table, priority and mark can be asked for, and change", async () => {
    await apply(`table 300\npriority 150\nmark 0x10/0xff\n${BASIC}`);
    expect(await shown("rule")).toContain("150:\tnot from all fwmark 0x10/0xff lookup 300");
    expect(await wayTo("10.2.3.4", ["mark", "0x10"])).toBe("wan0");

    await apply(`table 300\npriority 160\nmark 0xffffffff\n${BASIC}`);

    const rules = (await shown("rule")).split("\n").filter((line) => line.includes("lookup 300"));
    expect(rules).toEqual([expect.stringContaining("160:\tnot from all fwmark 0xffffffff lookup 300")]);
    expect((await apply(`table 300\npriority 160\nmark 0xffffffff\n${BASIC}`)).stdout).toBe("changed 0\n");
  });

  test("thousands of prefixes are one quick batch", async () => {
    const lines = Array.from(
      { length: 3000 },
      (_, n) => `protect 10.${100 + (n >> 8)}.${n & 255}.0/24 dev tg0`,
    ).join("\n");

    expect(await apply(lines)).toMatchObject({ status: 0, stderr: "" });

    expect((await shown("-4 route show table 220")).match(/dev tg0/g)).toHaveLength(3000);
    expect((await apply(lines)).stdout).toBe("changed 0\n");
  });

  test.each([
    ["protect 10.2.0.1/16 dev tg0", "no prefix"],
    ["protect 10.2.0.0/33 dev tg0", "no prefix"],
    ["protect 10.02.0.0/16 dev tg0", "no prefix"],
    ["protect 2001:db8::1/32 dev tg0", "no prefix"],
    ["protect 2001:db8:::/32 dev tg0", "no prefix"],
    ["protect 1:2:3:4:5:6:7:8:9/128 dev tg0", "no prefix"],
    ["protect 10.2.0.0/16", "does not name its device"],
    ["protect 10.2.0.0/16 dev a-name-that-is-too-long", "not understood"],
    ["protect 10.2.0.0/16 dev tg0;reboot", "not understood"],
    ["protect 10.2.0.0/16 dev tg0 src 2001:db8::1", "not understood"],
    ["protect 10.2.0.0/16 dev tg0 mtu 12", "not understood"],
    ["protect 10.2.0.0/16 dev tg0\nprotect 10.2.0.0/16 dev tg1", "two devices"],
    ["bypass to 10.2.0.0/16 dport 443", "not understood"],
    ["bypass to 10.2.0.0/16 proto 6 dport 443-80", "not understood"],
    ["bypass from 10.2.0.0/16 to 2001:db8::/32", "not understood"],
    ["bypass", "not understood"],
    ["table 254", "number of its own"],
    ["table 220\ntable 221", "contradicts"],
    ["priority 1", "from 2 to"],
    ["mark 0/0", "neither of them 0"],
    ["on-exit maybe", "block or open"],
    ["route add default via 10.0.0.1", "no word of this protocol"],
  ])("`%s` is refused as a whole", async (line, words) => {
    const before = await everything();

    const outcome = await apply(`${BASIC}\n${line}`);

    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toMatch(/^tungate-routes: line \d+: /);
    expect(outcome.stderr).toContain(words);
    expect(await everything()).toBe(before);
  });

  test("spellings of an address do not matter", async () => {
    await apply(
      "protect 2001:DB8:0:0:2::/80 dev tg0\nprotect ::ffff:10.2.0.0/112 dev tg0\nthrow 2001:db8::2:0:0:1/128",
    );

    const again = await apply(
      "protect 2001:db8::2:0:0:0/80 dev tg0\nprotect ::ffff:a02:0/112 dev tg0\nthrow 2001:0db8:0:0:2::1/128",
    );

    expect(again).toMatchObject({ status: 0, stdout: "changed 0\n" });
  });

  test("without the right to change routes it says so and fails", async () => {
    const outcome = await gateway.run(
      ["setpriv", "--reuid", "64997", "--regid", "64997", "--clear-groups", SCRIPT, "apply"],
      {
        input: BASIC,
        mayFail: true,
      },
    );

    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toContain("needs CAP_NET_ADMIN");
  });

  test("status gives back what apply was told", async () => {
    await apply(`${BASIC}\nguard 10.9.0.0/16\nthrow 10.2.7.0/24`);

    const { stdout } = await script(["status"]);

    expect(stdout).toContain("protect 10.2.0.0/16 dev tg0 src 10.1.0.1 mtu 1400\n");
    expect(stdout).toContain("protect 2001:db8:2::/48 dev tg0 src 2001:db8:1::1 mtu 1400\n");
    expect(stdout).toContain("guard 10.9.0.0/16\n");
    expect(stdout).toContain("throw 10.2.7.0/24\n");
    expect(stdout).toContain("# dropped in clear: 0 packets 0 octets\n");
    expect((await apply(stdout)).stdout).toBe("changed 0\n");
  });

  describe("the host's own settings", () => {
    const hostWide = async (): Promise<string> =>
      (
        await gateway.run([
          "sysctl",
          "-a",
          "--pattern",
          "^net\\.ipv[46]\\.(conf\\.(all|default|lo|wan.)\\.|ip_forward)",
        ])
      ).stdout
        .split("\n")
        .filter((line) => !/mtu|stable_secret|neigh/.test(line))
        .join("\n");

    test("apply and clear change no sysctl", async () => {
      const before = await hostWide();

      await apply(BASIC);
      await script(["clear"], `${BASIC}\non-exit open`);

      expect(await hostWide()).toBe(before);
      expect(before).toMatch(/conf\.all\.rp_filter/);
    });

    test("prepare changes those of its own device alone", async () => {
      await gateway.ip("link del tg0");
      const before = await hostWide();

      const outcome = await script(["prepare", "--user", "nobody", "tg0", "tg1"]);

      expect(outcome).toMatchObject({ status: 0, stderr: "" });
      expect(await hostWide()).toBe(before);
      const device = await gateway.run(["sh", "-c", "cd /sys/class/net/tg1 && cat tun_flags owner"]);
      // TUN, no packet information, several queues, virtio-net header, persistent.
      expect(Number(device.stdout.split("\n")[0])).toBe(0x1 | 0x1000 | 0x100 | 0x4000 | 0x800);
      expect(device.stdout.split("\n")[1]).toBe("65534");
      expect((await script(["prepare", "--user", "nobody", "tg0", "tg1"])).status).toBe(0);
    });

    test("prepare --forward switches forwarding on for the interface named, and for ours", async () => {
      await gateway.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"]);
      await gateway.ip("link del tg0");

      const outcome = await script(["prepare", "--forward", "wan1", "tg0"]);

      const read = async (name: string) =>
        (await gateway.run(["sysctl", "-n", `net.ipv4.conf.${name}.forwarding`])).stdout.trim();
      expect(outcome.status).toBe(0);
      expect([await read("wan1"), await read("tg0"), await read("wan0"), await read("all")]).toEqual([
        "1",
        "1",
        "0",
        "0",
      ]);
    });

    test("prepare says what is wrong with a device that it cannot use", async () => {
      await gateway.ip("link del tg0\ntuntap add dev tg0 mode tun");

      expect(await script(["prepare", "tg0"])).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("remove it: ip link delete tg0"),
      });
      expect(await script(["prepare", "wan0"])).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("is no TUN device"),
      });
      expect(await script(["prepare", "--user", "no-such-user"])).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("no user"),
      });
    });
  });

  test("what apply saved closes the prefixes again after a reboot", async () => {
    const saved = join(folder, "saved");
    await script(["apply", "--save", saved], BASIC);
    expect(readFileSync(saved, "utf8")).toContain("protect 10.2.0.0/16");
    await script(["clear"], `${BASIC}\non-exit open`);
    expect(await wayTo("10.2.3.4")).toBe("wan0");

    const outcome = await script(["prepare", "--guards", saved, "tg1"]);

    expect(outcome).toMatchObject({ status: 0, stderr: "" });
    expect(await wayTo("10.2.3.4")).toBe("unreachable");
    expect(existsSync(`${saved}.new`)).toBe(false);
    writeFileSync(saved, "protect nonsense\n");
    expect((await script(["prepare", "--guards", saved, "tg1"])).status).toBe(2);
  });

  test("what was saved is read as a plain file only: nothing of another file is told, and no FIFO is waited for", async () => {
    const secret = join(folder, "secret");
    writeFileSync(secret, "hunter2 is a secret\n");
    symlinkSync(secret, join(folder, "link"));
    await run(["mkfifo", join(folder, "fifo")]);

    const linked = await script(["prepare", "--guards", join(folder, "link"), "tg1"]);
    expect(linked).toMatchObject({ status: 1, stderr: expect.stringContaining("cannot read") });
    expect(linked.stdout + linked.stderr).not.toContain("hunter2");
    expect((await script(["prepare", "--guards", join(folder, "fifo"), "tg1"])).status).toBe(0);
    expect(await shown("link show tg1")).toContain("tg1");
  });

  test("who holds the script's lock for ever delays a change, and does not prevent it", async () => {
    const holder = new BackgroundProcess(
      [
        "setpriv",
        "--reuid=nobody",
        "--clear-groups",
        "flock",
        SCRIPT,
        "sh",
        "-c",
        "echo held; exec sleep 60",
      ],
      join(folder, "holder"),
    );
    try {
      await until("the lock is held", () => /held/.test(holder.log()));
      const outcome = await apply(BASIC);
      expect(outcome).toMatchObject({ status: 0, stderr: expect.stringContaining("going on without") });
      expect(await wayTo("10.2.3.4")).toBe("tg0");
    } finally {
      await holder.stop("SIGKILL");
    }
  });

  test("on a host without IPv6 the IPv4 prefixes are routed and the rest is said", async () => {
    await gateway.run(["sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"]);

    const outcome = await apply(BASIC);

    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toMatch(/2001:db8:2:0:0:0:0:0\/48/);
    expect(await wayTo("10.2.3.4")).toBe("tg0");
  });
});
