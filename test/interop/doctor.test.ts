/** `tungate doctor` on one pair of gateways: silent while all is well, and right about each fault that is made. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DoctorDocument, doctorDocument } from "../../src/control/doctor-schema.ts";
import { BackgroundProcess, run, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, PROGRAM } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

type Found = readonly `${string}: ${string}`[];

describeWith(["tun", "build", "nft"], "doctor", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    await startGateway(b, { site: SITE_B });
    await startGateway(a, { site: SITE_A });
    await a.isUp("peer");
  });
  afterAll(async () => {
    await Promise.all([a.kill(), b.kill()]);
    await sites.remove();
  });

  const here = (words: readonly string[], input?: string) =>
    sites.a.gateway.run(words, input === undefined ? {} : { input });
  const sysctl = (setting: string) => here(["sysctl", "-q", "-w", setting]);

  async function doctor(...words: string[]): Promise<DoctorDocument> {
    const command = [...PROGRAM, "doctor", "--json"];
    const { stdout, stderr } = await run(
      sites.a.gateway.command([...command, "-c", a.configurationPath, "--control", a.controlPath, ...words]),
      { mayFail: true, timeoutMs: 60_000 },
    );
    if (stdout === "") throw new Error(stderr);
    return doctorDocument.parse(JSON.parse(stdout));
  }

  /** `check: result` of all that is not well, and the sentences. */
  async function found(...words: string[]): Promise<{ what: Found; text: string }> {
    const { findings } = await doctor(...words);
    const bad = findings.filter(({ result }) => result === "warning" || result === "problem");
    return {
      what: bad.map(({ check, result }) => `${check}: ${result}` as const),
      text: bad.map(({ text, advice }) => `${text}\n${advice}`).join("\n"),
    };
  }

  interface Fault {
    readonly make: () => Promise<unknown>;
    readonly undo: () => Promise<unknown>;
  }

  /** Makes faults, looks, and takes them back. */
  async function withFaults(faults: readonly Fault[], ...words: string[]) {
    const made: Fault[] = [];
    try {
      for (const fault of faults) {
        made.unshift(fault);
        await fault.make();
      }
      return await found(...words);
    } finally {
      for (const { undo } of made) await undo();
      // It looks at its routes again some seconds after the host changed, and would say it to the next test too.
      await until(
        "the gateway has nothing to say any more",
        async () => (await a.status()).advice.length === 0,
      );
    }
  }

  test("all is well: every check ran, and none complains", async () => {
    const { findings, counts } = await doctor();
    expect(findings.filter(({ result }) => result === "warning" || result === "problem")).toEqual([]);
    expect(counts.ok).toBeGreaterThan(17);
    expect(findings.find(({ check }) => check === "reachability")?.text).toContain(
      "answers on UDP ports 500 and 4500",
    );
  });

  /** Chains of one table; what is written to nft at once is there at once. */
  const table = (...chains: readonly string[]) =>
    `table inet fault {\n${chains.map((chain, i) => `chain c${i} {\n${chain}\n}\n`).join("")}}`;
  const filtered = (...chains: readonly string[]): Fault => ({
    make: () => here(["nft", "-f", "-"], table(...chains)),
    undo: () => here(["nft", "delete", "table", "inet", "fault"]),
  });
  const set = (setting: string, value: number, before: number): Fault => ({
    make: () => sysctl(`${setting}=${value}`),
    undo: () => sysctl(`${setting}=${before}`),
  });
  const routed = (route: string, rule: string, number: number): Fault => ({
    make: () => sites.a.gateway.ip(`route add ${route} table ${number}\nrule add ${rule}`),
    undo: () => sites.a.gateway.ip(`rule del ${rule}\nroute flush table ${number}`),
  });
  const mode = (path: () => string, wrong: string, right: string): Fault => ({
    make: () => run(["chmod", wrong, path()]),
    undo: () => run(["chmod", right, path()]),
  });
  const INPUT = "type filter hook input priority 0; policy drop; iif lo accept;";
  const FORWARD = "type filter hook forward priority 0; policy drop;";
  const NAT = "type nat hook postrouting priority srcnat; ip saddr 10.1.0.0/16";
  const inner = `10.2.0.0/16 via ${SITE_B.outer4}`;

  // Checks without a fault in one of the two groups have one in the other: a fault that another check complained about would show.
  test("faults of one kind: a LAN not forwarded, the filter to us, masquerading, a rule that takes our packets", async () => {
    const { what, text } = await withFaults(
      [
        set("net.ipv4.conf.lan0.forwarding", 0, 1),
        filtered(`${INPUT} tcp dport 22 accept`, `${NAT} masquerade`),
        routed(inner, "to 10.2.0.0/16 lookup 78 priority 100", 78),
      ],
      "--no-ask",
    );
    expect(new Set(what), text).toEqual(
      new Set(["forwarding: problem", "filterInput: problem", "translation: problem", "routes: problem"]),
    );
    expect(text).toContain("sysctl -w net.ipv4.conf.lan0.forwarding=1");
    expect(text).toContain(
      "the policy of inet fault c0 drops what comes to UDP ports 500 and 4500 from 192.0.2.2",
    );
    expect(text).toContain('oifname != "tungate0"');
    expect(text).toContain("are routed to wan0 instead of tungate0");
    expect(text).toContain("rule 100: from all to 10.2.0.0/16 lookup 78 comes before ours");
  });

  test("faults of the other: reverse paths, forwarding filtered, the kernel's own IPsec, an open socket", async () => {
    const selector = ["src", "10.1.0.0/16", "dst", "10.2.0.0/16", "dir", "out"];
    const template = ["tmpl", "src", SITE_A.outer4, "dst", SITE_B.outer4, "proto", "esp", "mode", "tunnel"];
    const unmarked = `not fwmark 0x54470000/0xffff0000 to ${SITE_B.outer4} lookup 77 priority 230`;
    const { what, text } = await withFaults(
      [
        routed(`${SITE_B.outer4} dev lan0`, unmarked, 77),
        set("net.ipv4.conf.wan0.rp_filter", 1, 0),
        filtered(`${FORWARD} iifname "lan0" oifname "wan0" accept`),
        {
          make: () => here(["ip", "xfrm", "policy", "add", ...selector, ...template]),
          undo: () => here(["ip", "xfrm", "policy", "delete", ...selector]),
        },
        mode(() => a.controlPath, "666", "660"),
      ],
      "--no-ask",
    );
    expect(new Set(what), text).toEqual(
      new Set([
        "reversePath: problem",
        "filterForward: problem",
        "kernelPolicies: problem",
        "daemon: problem",
      ]),
    );
    expect(text).toContain("rp_filter on wan0 drops packets of the peer 192.0.2.2");
    expect(text).toContain("peer/lan: the kernel's own IPsec has a policy for the same packets");
  });

  test("a configuration that everybody can write is not used", async () => {
    const open = mode(() => a.configurationPath, "666", "644");
    const { what, text } = await withFaults([open], "--no-ask");
    expect(what, text).toEqual(["configuration: problem"]);
    expect(text).toContain("anyone on this machine can change it");
  });

  test("what may do harm is a warning: a filter for answers alone, a rule that might take our packets", async () => {
    const { what, text } = await withFaults(
      [
        filtered(`${INPUT} ct state established,related accept`),
        routed(inner, "fwmark 0x99 lookup 78 priority 100", 78),
      ],
      "--no-ask",
    );
    expect(what, text).toEqual(["filterInput: warning", "routes: warning"]);
  });

  test("filters and translations that let everything of ours through are no fault", async () => {
    const chains = [
      "type filter hook input priority 0; policy drop; udp dport { 500, 4500 } accept; ct state established,related accept",
      `${FORWARD} iifname { "lan0", "tungate0" } accept`,
      `${NAT} oifname "wan0" masquerade`,
    ];
    expect((await withFaults([filtered(...chains)], "--no-ask")).what).toEqual([]);
  });

  test("the way to the peer: port 4500 blocked, fragments lost, silence, and refusal", async () => {
    const faulty = (rule: string) => {
      const input = table(`type filter hook prerouting priority -450; iifname "wan0" ${rule}`);
      return withFaults([
        {
          make: () => sites.b.gateway.run(["nft", "-f", "-"], { input }),
          undo: () => sites.b.gateway.run(["nft", "delete", "table", "inet", "fault"]),
        },
      ]);
    };
    const lossy = await faulty("udp dport 4500 drop; ip frag-off & 0x1fff != 0 drop".replace("; ", "\n"));
    expect(lossy.what).toEqual(["reachability: problem", "pathSize: warning"]);
    expect(lossy.text).toContain("answers on UDP port 500, but not on 4500");
    expect(lossy.text).toContain("does not get fragments");
    const silent = await faulty("udp dport { 500, 4500 } drop");
    expect(silent.what).toEqual(["reachability: problem"]);
    expect(silent.text).toContain("192.0.2.2 does not answer on UDP ports 500 and 4500\n");
  });

  test("without a gateway: what it would know is not checked, and another daemon on its ports is named", async () => {
    await Promise.all([a.stop(), b.stop()]);
    const holder = new BackgroundProcess(
      sites.a.gateway.command([
        "python3",
        "-c",
        "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 4500)); print('bound', flush=True); time.sleep(60)",
      ]),
      join(sites.folder, "holder"),
    );
    await until("the port is taken", () => holder.log().includes("bound"));
    const { findings } = await doctor();
    await holder.stop("SIGKILL");
    const bad = findings.filter(({ result }) => result === "problem" || result === "warning");
    expect(bad.map(({ check }) => check)).toEqual(["ports", "reachability"]);
    expect(bad[0]?.text).toMatch(/^python3\S* \(pid \d+\) has UDP port 4500, which the gateway needs$/);
    expect(bad[1]?.text).toContain("192.0.2.2 says that nobody listens on its UDP port 500");
    const open = findings.filter(({ result }) => result === "notChecked").map(({ check }) => check);
    expect(open).toEqual(
      expect.arrayContaining(["daemon", "routes", "pathSize", "offloads", "processLimits", "drops"]),
    );
  });
});
