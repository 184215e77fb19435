/** `tungate doctor` on one pair of gateways: silent while all is well, and right about each fault that is made. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DoctorDocument, doctorDocument } from "../../src/control/doctor-schema.ts";
import { BackgroundProcess, run, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
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
  const filter = (rules: string) => here(["nft", "-f", "-"], rules);

  async function doctor(...words: string[]): Promise<DoctorDocument> {
    const command = [process.execPath, join(ROOT, "dist/cli/main.js"), "doctor", "--json"];
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

  /** Makes a fault, looks, and takes it back. */
  async function withFault(make: () => Promise<unknown>, undo: () => Promise<unknown>, ...words: string[]) {
    await make();
    try {
      return await found(...words);
    } finally {
      await undo();
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

  const table = (chain: string) => `table inet fault {
    chain c {
      ${chain}
    }
  }`;
  const unfilter = () => here(["nft", "delete", "table", "inet", "fault"]);
  const filtered = (chain: string) => withFault(() => filter(table(chain)), unfilter, "--no-ask");

  test("a LAN that is not forwarded", async () => {
    const setting = "net.ipv4.conf.lan0.forwarding";
    const { what, text } = await withFault(
      () => sysctl(`${setting}=0`),
      () => sysctl(`${setting}=1`),
      "--no-ask",
    );
    expect(what).toEqual(["forwarding: problem"]);
    expect(text).toContain("sysctl -w net.ipv4.conf.lan0.forwarding=1");
  });

  test("a strict reverse path filter, where the peer is routed elsewhere without our mark", async () => {
    const rule = `to ${SITE_B.outer4} lookup 77 priority 230`;
    const { what, text } = await withFault(
      async () => {
        await sites.a.gateway.ip(`route add ${SITE_B.outer4} dev lan0 table 77
          rule add not fwmark 0x54470000/0xffff0000 ${rule}`);
        await sysctl("net.ipv4.conf.wan0.rp_filter=1");
      },
      async () => {
        await sysctl("net.ipv4.conf.wan0.rp_filter=0");
        await sites.a.gateway.ip(`rule del not fwmark 0x54470000/0xffff0000 ${rule}
          route flush table 77`);
      },
      "--no-ask",
    );
    expect(what).toEqual(["reversePath: problem"]);
    expect(text).toContain("rp_filter on wan0 drops packets of the peer 192.0.2.2");
  });

  test("the packet filter: to us, in both strengths, and forward; what is let through is no fault", async () => {
    const input = "type filter hook input priority 0; policy drop; iif lo accept;";
    const all = await filtered(`${input} tcp dport 22 accept`);
    expect(all.what).toEqual(["filterInput: problem"]);
    expect(all.text).toContain(
      "the policy of inet fault c drops what comes to UDP ports 500 and 4500 from 192.0.2.2",
    );
    const stateful = await filtered(`${input} ct state established,related accept`);
    expect(stateful.what).toEqual(["filterInput: warning"]);
    const forward = "type filter hook forward priority 0; policy drop;";
    const nothing = await filtered(`${forward} iifname "lan0" oifname "wan0" accept`);
    expect(new Set(nothing.what)).toEqual(new Set(["filterForward: problem"]));
    const well = await filtered(
      `type filter hook input priority 0; policy drop; udp dport { 500, 4500 } accept; ct state established,related accept`,
    );
    expect(well.what).toEqual([]);
    expect((await filtered(`${forward} iifname { "lan0", "tungate0" } accept`)).what).toEqual([]);
  });

  test("masquerading that catches the tunnel, and one that does not", async () => {
    const nat = "type nat hook postrouting priority srcnat; ip saddr 10.1.0.0/16";
    const { what, text } = await filtered(`${nat} masquerade`);
    expect(what).toEqual(["translation: problem"]);
    expect(text).toContain('oifname != "tungate0"');
    expect((await filtered(`${nat} oifname "wan0" masquerade`)).what).toEqual([]);
  });

  test("rules of other software before ours: one that takes our packets, and one that might", async () => {
    const made = (rule: string) =>
      withFault(
        () => sites.a.gateway.ip(`route add 10.2.0.0/16 via ${SITE_B.outer4} table 78\nrule add ${rule}`),
        () => sites.a.gateway.ip(`rule del ${rule}\nroute flush table 78`),
        "--no-ask",
      );
    const taken = await made("to 10.2.0.0/16 lookup 78 priority 100");
    expect(taken.what).toContain("routes: problem");
    expect(taken.text).toContain("are routed to wan0 instead of tungate0");
    expect(taken.text).toContain("rule 100: from all to 10.2.0.0/16 lookup 78 comes before ours");
    const other = await made("fwmark 0x99 lookup 78 priority 100");
    expect(other.what).toEqual(["routes: warning"]);
  });

  test("the kernel's own IPsec for the same networks", async () => {
    const selector = ["src", "10.1.0.0/16", "dst", "10.2.0.0/16", "dir", "out"];
    const template = ["tmpl", "src", SITE_A.outer4, "dst", SITE_B.outer4, "proto", "esp", "mode", "tunnel"];
    const { what, text } = await withFault(
      () => here(["ip", "xfrm", "policy", "add", ...selector, ...template]),
      () => here(["ip", "xfrm", "policy", "delete", ...selector]),
      "--no-ask",
    );
    expect(what).toEqual(["kernelPolicies: problem"]);
    expect(text).toContain("peer/lan: the kernel's own IPsec has a policy for the same packets");
  });

  test("files that everybody can write", async () => {
    const changed = (path: string, mode: string, before: string) =>
      withFault(
        () => run(["chmod", mode, path]),
        () => run(["chmod", before, path]),
        "--no-ask",
      );
    expect((await changed(a.controlPath, "666", "660")).what).toEqual(["daemon: problem"]);
    const { what, text } = await changed(a.configurationPath, "666", "644");
    expect(what).toEqual(["configuration: problem"]);
    expect(text).toContain("anyone on this machine can change it");
  });

  test("the way to the peer: port 4500 blocked, fragments lost, silence, and refusal", async () => {
    const there = (rule: string) =>
      sites.b.gateway.run(["nft", "-f", "-"], {
        input: table(`type filter hook prerouting priority -450; iifname "wan0" ${rule}`),
      });
    const faulty = (rule: string) =>
      withFault(
        () => there(rule),
        () => sites.b.gateway.run(["nft", "delete", "table", "inet", "fault"]),
      );
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
