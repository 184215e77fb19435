/** What an operator sees of a live pair: status, explain and top tell what really happens. */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect as openControl } from "../../src/control/connect.ts";
import type { ExplainAnswer } from "../../src/control/explain-schema.ts";
import type { ChildStatus } from "../../src/control/schema.ts";
import { ca, gateway } from "../unit/pki/certificate-maker.ts";
import { certificatePem, writeOurs } from "./harness/certified.ts";
import { BackgroundProcess, run, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { expectLikeShown } from "./harness/guide.ts";
import { describeWith, PROGRAM } from "./harness/prerequisites.ts";
import { SECRET, startGateway, type TunnelFacts } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

/** What it shows is compared with what is printed here. */
const GUIDE = "operation.md";
const HOST_A = SITE_A.host4;
const HOST_B = SITE_B.host4;
/** A peer that does not exist, for a child that cannot come up. */
const OSLO = `  strange:
    local: { id: a3.test, psk: { file: secret } }
    remote: { address: 192.0.2.2, ca: ca.pem, id: "dn:O=Strange, CN=*" }
    keep: respond
    children:
      lab: { local: [${SITE_A.lan4}], remote: [10.8.0.0/16] }
  wrong:
    local: { id: a2.test }
    remote: { address: 192.0.2.2, id: b2.test }
    psk: { file: another }
    keep: respond
    children:
      lab: { local: [${SITE_A.lan4}], remote: [10.9.0.0/16] }
  oslo:
    local: { id: a.test }
    remote: { address: 192.0.2.77, id: oslo.test }
    psk: { file: secret }
    children:
      web: { local: [${SITE_A.lan4}], remote: ["10.3.0.0/16[tcp/443]"] }
policies:
  - { remote: "10.2.0.0/16[tcp/23]", action: discard }
`;
const OTHER_SECRET = "neither correct nor a horse";
/** A name that its peer proves: commands for a terminal, text turned around, markup. */
const STRANGE = '\u001b[2J\u009b31m\r\n\u202e<script>alert(1)</script>"}';
const HARMLESS = String.raw`\u{1b}[2J\u{9b}31m\u{d}\u{a}\u{202e}\\<script\\>alert(1)\\</script\\>\\"}`;
/** What a terminal obeys, save the ends of lines. */
const COMMANDS = /[^\P{C}\n]/u;
const WRONG_AT_B = `  strange:
    local: { certificate: strange.pem, private_key: strange.key }
    remote: { address: 192.0.2.1, id: a3.test, psk: { file: secret } }
    keep: respond
    children:
      lab: { local: [10.8.0.0/16], remote: [${SITE_A.lan4}] }
  wrong:
    local: { id: b2.test }
    remote: { address: 192.0.2.1, id: a2.test }
    psk: { file: secret }
    keep: respond
    children:
      lab: { local: [10.9.0.0/16], remote: [${SITE_A.lan4}] }
`;
const DAY = 86_400_000;
const VALIDITY = { notBefore: Date.now() - DAY, notAfter: Date.now() + DAY };
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
    const root = ca("CN=Strange Root", VALIDITY);
    a.writeSecret("ca.pem", certificatePem(root));
    const subject = `O=Strange, CN=${STRANGE}`;
    writeOurs(b, "strange", [gateway(root, { ...VALIDITY, subject, extensions: [] })]);
    await startGateway(b, { site: SITE_B, keep: "respond", more: WRONG_AT_B });
    a.writeSecret("another", `${OTHER_SECRET}\n`);
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
    expect((await a.cli("status")).stdout).toMatch(/lost (18|19|20|21)\.\d %/);
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
      40_000,
    );
    expect(lines[0]).toMatch(/^we send \(\d+ packets\), nothing returns since \d+ (s|min( \d+ s)?)$/);
    expect(lines[1]).toContain("answers IKE on the same UDP port 4500");
    const check = await a.cli("status", "peer", "--check");
    expect(check.stdout).toContain("peer/lan gets nothing back");
    expectLikeShown(GUIDE, "tungate status", (await a.cli("status")).stdout);
    await dropping("meta mark 0x7fffffff");
    await until("the alarm is over", async () => (await lan()).oneWay === undefined);
    await ping.stop("SIGTERM");
  });

  test("a wrong key is in both black boxes afterwards, and no secret; the log says more of one connection on demand", async () => {
    const told = () =>
      readFileSync(join(a.folder, "log"), "utf8")
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as { level: string; connection?: string; msg: string });
    const details = () => told().filter(({ level }) => level === "debug");
    expect(details()).toEqual([]);
    expect((await a.cli("log", "debug", "wrong", "--seconds", "600")).stdout).toMatch(
      /^wrong: debug, for another \d+ s\n$/,
    );
    expect((await a.status()).advice).toContainEqual(expect.stringContaining("log of wrong is debug"));
    expect(await a.command("up", "wrong")).toMatchObject({
      outcome: "failed",
      code: "authenticationRejectedByPeer",
    });
    await a.command("rekey", "peer", "lan");
    expect(new Set(details().map(({ connection }) => connection))).toEqual(new Set(["wrong"]));
    expect((await a.cli("log", "info", "wrong")).stdout).toBe(
      "everything is logged as the gateway was started\n",
    );
    const before = details().length;
    await a.command("up", "wrong");
    expect(details()).toHaveLength(before);
    expect(told().map(({ msg }) => msg)).toContain("the level of the log of wrong is info now");
    expect((await a.cli("log", "debug", "nobody")).stderr).toContain("no connection is named nobody");

    const boxOf = async (gateway: Gateway, ...words: string[]) => {
      const { status, stdout } = await gateway.cli("blackbox", ...words);
      expect(status).toBe(0);
      return stdout;
    };
    const seen = await boxOf(a, "wrong");
    expect(seen).toMatch(
      /-> 192\.0\.2\.2:500 {2}IKE_SA_INIT request 0, \d+ octets\n +SA \d+, KE \d+, Nonce \d+/,
    );
    expect(seen).toMatch(/IKE_AUTH request 1, .*\n +IDi \d+, .*AUTH \d+/);
    expect(seen).toMatch(/IKE_AUTH response 1, \d+ octets\n +N\(AUTHENTICATION_FAILED\) 8/);
    expect(seen).toContain("authenticationRejectedByPeer: ");
    expect(seen).not.toMatch(/^\S+ {2}peer/m);
    expect(await boxOf(b, "wrong")).toContain("authenticationFailed: ");
    const everything = await boxOf(a);
    expect(everything).toMatch(/peer\/lan {2}childSaRekeyed: /);
    const all = (await Promise.all([boxOf(a, "--json"), boxOf(b, "--json")])).join("") + everything + seen;
    for (const secret of [SECRET, OTHER_SECRET])
      for (const encoding of ["utf8", "hex", "base64"] as const)
        expect(all).not.toContain(Buffer.from(secret).toString(encoding));
    // Nothing longer than an SPI is there in octets, save fractions of seconds.
    expect(all.replaceAll(/\d\.\d+/g, "").match(/[0-9a-f]{17,}/gi)).toBeNull();
    expect((await a.cli("blackbox", "nobody")).stderr).toContain("no connection is named nobody");
  });

  test("a peer whose name has commands for a terminal and markup in it is up, and shown in words that do nothing", async () => {
    expect(await a.command("up", "strange")).toMatchObject({ outcome: "done" });
    const outputs = await Promise.all(
      [["status"], ["status", "strange"], ["top", "--once"], ["blackbox", "strange"]].map((words) =>
        a.cli(...words),
      ),
    );
    for (const { status, stdout } of outputs) {
      expect(status).toBe(0);
      expect(stdout).not.toMatch(COMMANDS);
    }
    expect(outputs[1]!.stdout).toContain(`dn:O=Strange, CN=${HARMLESS}`);
    expect(outputs[3]!.stdout).toContain(HARMLESS);
    const log = readFileSync(join(a.folder, "log"), "utf8");
    expect(log).not.toMatch(COMMANDS);
    expect(log).toContain(JSON.stringify(HARMLESS).slice(1, -1));
    const metrics = await openControl({ path: a.controlPath }).metrics();
    expect(metrics).toMatch(/tungate_child_up\{connection="strange",child="lab".*\} 1/);
    expect(metrics).not.toContain("script");
    expect(await a.isUp("peer")).toMatchObject({ state: "up" });
  });

  test("whoever floods the control socket, hangs on it, or never reads keeps no packet and no operator waiting", async () => {
    const pings = sites.a.host.run(["ping", "-q", "-n", "-i", "0.02", "-c", "400", "-W", "5", HOST_B]);
    const clients: Socket[] = [];
    const open = (text: string) => {
      const socket = connect(a.controlPath, () => socket.write(text)).on("error", () => undefined);
      clients.push(socket);
      return socket;
    };
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
    const capture = '{"snap":262144}';
    for (let i = 0; i < 80; i++) open("");
    for (let i = 0; i < 30; i++) open(get("/v1/events")).pause();
    open(
      `POST /v1/capture HTTP/1.1\r\nhost: x\r\ncontent-length: ${capture.length}\r\n\r\n${capture}`,
    ).pause();
    const ends = Date.now() + 6_000;
    let answered = 0;
    while (Date.now() < ends) {
      for (let i = 0; i < 20; i++) open(get("/v1/status").repeat(50)).resume();
      for (const path of ["/v1/blackbox", "/v1/traffic", "/metrics", "/v1/nothing"]) open(get(path)).resume();
      for (const socket of clients.splice(0, clients.length - 100)) socket.destroy();
      // What was lost on purpose may still be told.
      if ((await a.cli("status", "--check", "peer")).stdout.includes("children are up")) answered++;
    }
    const { stdout } = await pings;
    expect(stdout, await whereLost()).toContain(" 0% packet loss");
    for (const socket of clients) socket.destroy();
    expect(answered).toBeGreaterThan(0);
    expect(await a.isUp("peer")).toMatchObject({ state: "up" });
    expect((await a.cli("status")).status).toBe(0);
  });

  /** What either gateway and its host count as dropped: only this tells a fault of ours from a machine that is too busy. */
  async function whereLost(): Promise<string> {
    const counts = await Promise.all(
      [a, b].map(async (gateway) => {
        const ofHost = "grep Udp: /proc/net/snmp; ip -s link; tail -n 20 /proc/net/softnet_stat";
        const { stdout } = await gateway.namespace.run(["sh", "-c", ofHost]);
        return `${JSON.stringify((await gateway.status()).drops)}\n${stdout}`;
      }),
    );
    return counts.join("\n");
  }

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
    const inWords = async (...words: string[]) => (await a.cli("explain", ...words)).stdout;
    expectLikeShown(
      GUIDE,
      `tungate explain ${HOST_A} ${HOST_B} --proto icmp`,
      await inWords(HOST_A, HOST_B, "--proto", "icmp"),
    );

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
    expectLikeShown(
      GUIDE,
      `tungate explain ${HOST_A} ${HOST_B} --proto tcp --port 23`,
      await inWords(HOST_A, HOST_B, "--proto", "tcp", "--port", "23"),
    );
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
    const live = `${PROGRAM.join(" ")} top --control ${a.controlPath}`;
    const inside = `stty rows 24 cols 80; ${live}; echo left $?; stty -a`;
    const screen = join(sites.folder, "screen");
    const seen = (text: string) => `until grep -q '${text}' ${screen}; do sleep 0.1; done`;
    // Rates want a second look, whenever that comes.
    const keys = `(${seen("children  *in ")}; printf s; ${seen("s sort (in)")}; printf q)`;
    await run(["sh", "-c", `: >${screen}; ${keys} | script -qefc "$INSIDE" ${screen} >/dev/null`], {
      mayFail: true,
      env: { TERM: "xterm", NO_COLOR: "1", INSIDE: inside },
    });
    const stdout = readFileSync(screen, "utf8");
    expect(stdout).toContain("\u001b[?1049h");
    expect(stdout).toMatch(/4 children +in .*bit\/s +out .*bit\/s/);
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
