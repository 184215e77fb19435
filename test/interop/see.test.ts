/** What an operator sees of a live pair: status, explain and top tell what really happens. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ExplainAnswer } from "../../src/control/explain-schema.ts";
import type { ChildStatus } from "../../src/control/schema.ts";
import { BackgroundProcess, run, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
import { startGateway, type TunnelFacts } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const HOST_A = SITE_A.host4;
const HOST_B = SITE_B.host4;
/** A peer that does not exist, for a child that cannot come up. */
const OSLO = `  oslo:
    local: { id: a.test }
    remote: { address: 192.0.2.77, id: oslo.test }
    psk: { file: secret }
    children:
      web: { local: [${SITE_A.lan4}], remote: ["10.3.0.0/16[tcp/443]"] }
policies:
  - { remote: "10.2.0.0/16[tcp/23]", action: discard }
`;
const FACTS: TunnelFacts = { site: SITE_A, more: OSLO, liveness: "10s" };

/** ESP in UDP: IKE on the same port begins with four zeros. */
const ESP_IN_UDP = "udp dport 4500 @th,64,32 != 0";

describeWith(["tun", "build", "nft"], "status, explain and top of a live pair", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, FACTS);
    await a.isUp("peer");
  });
  afterAll(async () => {
    await Promise.all([a.kill(), b.kill()]);
    await sites.remove();
  });

  const lan = async (): Promise<ChildStatus> => (await a.connection("peer")).children[0]!;

  /** @param rule - of nftables, for what arrives at A's gateway */
  async function dropping(rule: string): Promise<void> {
    await sites.a.gateway.run(["nft", "-f", "-"], {
      input: `table inet see
delete table inet see
table inet see {
  chain in {
    type filter hook prerouting priority -300
    ${rule} drop
  }
}
`,
    });
  }

  async function explained(...words: string[]): Promise<ExplainAnswer & { readonly status: number }> {
    const { status, stdout, stderr } = await a.cli("explain", ...words, "--json");
    if (stdout === "") throw new Error(stderr);
    return { ...JSON.parse(stdout), status };
  }

  const textOf = (answer: ExplainAnswer) =>
    [...answer.ways.flatMap(({ steps }) => steps), ...(answer.next === undefined ? [] : [answer.next])]
      .flatMap(({ lines }) => lines)
      .join("\n");

  test("a fifth of what the peer sends is dropped on the way, and status says a fifth", async () => {
    const before = (await lan()).loss?.sent ?? 0;
    await dropping(`${ESP_IN_UDP} numgen inc mod 5 == 0`);
    await sites.a.host.run(["ping", "-q", "-f", "-c", "1500", "-i", "0.002", HOST_B], { mayFail: true });
    await dropping("meta mark 0x7fffffff");
    const loss = await until("status has looked", async () => {
      const now = (await lan()).loss;
      return now !== undefined && now.sent - before > 1_000 && now;
    });
    expect(loss.lost / loss.sent).toBeGreaterThan(0.18);
    expect(loss.lost / loss.sent).toBeLessThan(0.22);
    expect((await a.cli("status")).stdout).toMatch(/lost (19|20|21)\.\d %/);
    const check = await a.cli("status", "--check");
    expect(check.status).toBe(1);
    expect(check.stdout).toMatch(/^tungate: .*peer\/lan loses packets/);
  });

  test("what arrives in one direction only rings an alarm, and IKE tells that the peer is there", async () => {
    await dropping(ESP_IN_UDP);
    const ping = new BackgroundProcess(
      sites.a.host.command(["ping", "-q", "-i", "0.5", HOST_B]),
      join(sites.folder, "ping.log"),
    );
    await explainsEverySituation();
    await topDraws();
    const oneWay = await until("the alarm rings", async () => (await lan()).oneWay, 70_000);
    expect(oneWay).toMatchObject({ hasReturned: true });
    const { lines } = await until(
      "IKE was asked since",
      async () => {
        const now = (await lan()).oneWay;
        return now?.cause === "ikeAnswers" && now;
      },
      30_000,
    );
    expect(lines[0]).toMatch(/^we send \(\d+ packets\), nothing returns since \d+ s$/);
    expect(lines[1]).toContain("answers IKE on the same UDP port 4500");
    const check = await a.cli("status", "peer", "--check");
    expect(check.stdout).toContain("peer/lan gets nothing back");
    await dropping("meta mark 0x7fffffff");
    await until("the alarm is over", async () => (await lan()).oneWay === undefined);
    await ping.stop("SIGTERM");
  });

  /** Each beside the others, while nothing of the tunnel's traffic comes back. */
  async function explainsEverySituation(): Promise<void> {
    const gateway = sites.a.gateway;
    const fine = await explained(HOST_A, HOST_B, "--proto", "icmp");
    expect(fine).toMatchObject({
      status: 0,
      ways: [
        { way: "out", fate: "protected" },
        { way: "in", fate: "delivered" },
      ],
    });
    expect(textOf(fine)).toContain("into the tunnel, tungate0");
    expect(textOf(fine)).toMatch(/peer\/lan protects it: .* \(tungate\.yaml:\d+\)/);
    expect(textOf(fine)).toMatch(/inner packets of up to 1\d{3} octets fit/);
    expect(fine.next).toBeUndefined();

    const reversed = await explained(HOST_B, HOST_A);
    expect(reversed.ways.map(({ way }) => way)).toEqual(["in", "out"]);
    expect(await explained(SITE_A.gateway4, HOST_B)).toMatchObject({ status: 0 });
    expect(await explained(SITE_A.host6, SITE_B.host6)).toMatchObject({ status: 0 });

    await gateway.run(["sysctl", "-q", "-w", "net.ipv4.conf.lan0.forwarding=0"]);
    expect(await explained(HOST_A, HOST_B)).toMatchObject({
      status: 1,
      next: { code: "forwarding", lines: ["sysctl -w net.ipv4.conf.lan0.forwarding=1"] },
    });
    expect((await explained(SITE_A.gateway4, HOST_B)).status).toBe(0);
    await gateway.run(["sysctl", "-q", "-w", "net.ipv4.conf.lan0.forwarding=1"]);

    const nobody = await explained(HOST_A, "10.77.0.1");
    expect(nobody).toMatchObject({ status: 1, next: { code: "addSelector" } });
    expect(textOf(nobody)).toContain("the remote address differs");
    const otherPort = await explained(HOST_A, "10.3.0.1", "--proto", "tcp", "--port", "80");
    expect(textOf(otherPort)).toContain("nearest is oslo/web");
    expect(textOf(otherPort)).toContain("the remote port differs");
    expect((await explained("172.30.0.1", "172.31.0.1")).next?.code).toBe("notOurs");

    const down = await explained(HOST_A, "10.3.0.1", "--proto", "tcp", "--port", "443");
    expect(down).toMatchObject({ next: { code: "bringUp" } });
    expect(textOf(down)).toContain("oslo/web is not up");
    await a.cli("down", "oslo");
    const taken = await explained(HOST_A, "10.3.0.1", "--proto", "tcp", "--port", "443");
    expect(textOf(taken)).toContain("taken down; tungate up brings it back");

    const telnet = `exec 3<>/dev/tcp/${HOST_B}/23`;
    await sites.a.host.run(["timeout", "5", "bash", "-c", telnet], { mayFail: true });
    const discarded = await until("the drop is remembered", async () => {
      const answer = await explained(HOST_A, HOST_B, "--proto", "tcp", "--port", "23");
      return textOf(answer).includes("discarded by policy") && answer;
    });
    expect(discarded).toMatchObject({ status: 1, next: { code: "discarded" } });
    expect(textOf(discarded)).toMatch(
      /tcp 10\.1\.0\.10:\d+ -> 10\.2\.0\.10:23: discarded by policy; (once|\d+ times), \d+ s ago/,
    );

    await gateway.ip("rule add to 10.2.7.0/24 lookup main pref 10\nroute add 10.2.7.0/24 dev wan0");
    const elsewhere = await explained(HOST_A, "10.2.7.7");
    expect(elsewhere).toMatchObject({ status: 1, next: { code: "routeElsewhere" } });
    expect(elsewhere.ways[0]).toMatchObject({ fate: "clear" });
    await gateway.run(["sysctl", "-q", "-w", "net.ipv4.conf.tungate0.rp_filter=1"]);
    const filtered = await explained("10.2.7.7", HOST_A);
    expect(textOf(filtered)).toContain("rp_filter");
    await gateway.run(["sysctl", "-q", "-w", "net.ipv4.conf.tungate0.rp_filter=0"]);
    await gateway.ip("rule del pref 10\nroute del 10.2.7.0/24 dev wan0");

    await gateway.ip("route add unreachable 10.1.66.0/24");
    const noWayBack = await explained("10.1.66.6", HOST_B);
    expect(noWayBack).toMatchObject({ status: 1 });
    expect(noWayBack.ways.find(({ way }) => way === "in")).toMatchObject({ fate: "dropped" });
    await gateway.ip("route del unreachable 10.1.66.0/24");

    for (const words of [
      ["10.1.0", HOST_B],
      [HOST_A, SITE_B.host6],
      [HOST_A, HOST_B, "--proto", "teecp"],
    ])
      expect((await a.cli("explain", ...words)).stderr).toMatch(/^tungate: /);
  }

  /** In a terminal, which it leaves as it was; elsewhere it prints one look or says so. */
  async function topDraws(): Promise<void> {
    const live = `${process.execPath} ${join(ROOT, "dist/cli/main.js")} top --control ${a.controlPath}`;
    const inside = `stty rows 24 cols 80; ${live}; echo left $?; stty -a`;
    const keys = "(sleep 4; printf s; sleep 1; printf q)";
    const { stdout } = await run(["sh", "-c", `${keys} | script -qec "$INSIDE" /dev/null`], {
      mayFail: true,
      env: { TERM: "xterm", NO_COLOR: "1", INSIDE: inside },
    });
    expect(stdout).toContain("\u001b[?1049h");
    expect(stdout).toMatch(/2 children +in .*bit\/s +out .*bit\/s/);
    expect(stdout).toMatch(/peer\/lan +up +.*bit\/s/);
    expect(stdout).toContain("s sort (in)");
    expect(stdout.indexOf("\u001b[?1049l")).toBeGreaterThan(stdout.indexOf("s sort (in)"));
    expect(stdout).toMatch(/left 0[\s\S]*(?<!-)icanon/);
    const once = await a.cli("top", "--once");
    expect(once.stdout).toMatch(/peer\/lan +up +/);
    expect(once.stdout).not.toContain("\u001b");
    const pipe = await a.cli("top");
    expect(pipe).toMatchObject({ status: 1, stdout: "" });
    expect(pipe.stderr).toContain("--once prints one look");
  }
});
