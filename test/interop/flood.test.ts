/** A flood of IKE_SA_INIT from made-up addresses: a configured peer connects as usual, and memory stays flat. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BackgroundProcess } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { connect, Namespace } from "./harness/namespace.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

/** TUNGATE_LONG: as long as the promise says; else long enough for every queue to fill. */
const SECONDS = process.env["TUNGATE_LONG"] === undefined ? 8 : 30;
const PER_SECOND = 20_000;
/** What a young heap may take at its first load, and what it may grow by afterwards. */
const WARM_KB_MAX = 110_000;
const GROWTH_KB_MAX = 40_000;

/** Whole IPv4 packets by a raw socket: source addresses of 100.64/10, a fresh SPI and nonce each. */
const FLOOD = `
import os, socket, struct, sys, time
destination, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
sa = bytes.fromhex("22000030 0000002c 01010004 0300000c 01000014 800e0100 03000008 02000006 03000008 04000013 00000008 0400001f".replace(" ", ""))
ke = struct.pack(">BBHHH", 40, 0, 40, 31, 0) + bytes(range(1, 33))
to = socket.inet_aton(destination)
started = time.monotonic(); sent = 0; refused = 0
while True:
    now = time.monotonic() - started
    if now >= seconds: break
    due = int(now * rate)
    if sent >= due: time.sleep(0.0005); continue
    while sent < due:
        nonce = struct.pack(">BBH", 0, 0, 36) + os.urandom(32)
        body = sa + ke + nonce
        ike = os.urandom(8) + bytes(8) + bytes([33, 0x20, 34, 8]) + struct.pack(">II", 0, 28 + len(body)) + body
        udp = struct.pack(">HHHH", 500, 500, 8 + len(ike), 0) + ike
        source = struct.pack(">BBH", 100, 64 + os.urandom(1)[0] % 64, int.from_bytes(os.urandom(2), "big"))
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + to
        try: out.sendto(ip + udp, (destination, 0))
        except OSError: refused += 1
        sent += 1
print(f"sent {sent} refused {refused} in {time.monotonic() - started:.1f} s", flush=True)
`;

describeWith(["tun", "build"], "a flood of IKE_SA_INIT", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;
  let attacker: Namespace;

  beforeAll(async () => {
    sites = await TwoSites.create();
    attacker = await Namespace.create("x");
    await connect({ namespace: attacker, name: "wan0" }, { namespace: sites.b.gateway, name: "wan1" });
    // By way of a neighbour: the kernel's one table of neighbours would be full of made-up ones, for all namespaces, and no other test
    // would get its packets through.
    await sites.b.gateway.ip("addr add 198.51.100.1/24 dev wan1\nroute add 100.64.0.0/10 via 198.51.100.66");
    await attacker.ip(`addr add 198.51.100.66/24 dev wan0
      route add default via 198.51.100.1
      route add blackhole 100.64.0.0/10`);
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    await startGateway(b, {
      site: SITE_B,
      keep: "respond",
      more: `  anybody:
    local: { id: b.test }
    remote: { address: any, id: nobody.test }
    psk: { file: secret }
    keep: respond
    children: { lan: { local: 10.7.0.0/16, remote: 10.8.0.0/16 } }`,
    });
    await startGateway(a, { site: SITE_A });
    await a.isUp("peer");
  });
  afterAll(async () => {
    await a.stop();
    await b.stop();
    await attacker.remove();
    await sites.remove();
  });

  const residentKb = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${b.process.pid}/status`, "utf8"))![1]);
  const reconnect = async () => {
    await a.command("down", "peer");
    const from = performance.now();
    await a.command("up", "peer");
    await a.isUp("peer");
    return performance.now() - from;
  };

  test("[ERR-06] a configured peer connects meanwhile, as often as it wants, and memory stays flat", async () => {
    const quiet = await reconnect();
    const before = residentKb();
    const flood = new BackgroundProcess(
      attacker.command(["python3", "-c", FLOOD, SITE_B.outer4, String(PER_SECOND), String(SECONDS)]),
      join(sites.folder, "flood"),
      {},
    );
    const taken: number[] = [];
    const until = performance.now() + (SECONDS - 2) * 1000;
    const half = performance.now() + (SECONDS / 2) * 1000;
    let middle = before;
    while (performance.now() < until || taken.length < 2) {
      taken.push(await reconnect());
      if (performance.now() < half) middle = Math.max(middle, residentKb());
    }
    const during = residentKb();
    await flood.ended(120_000);
    const { drops } = await b.status();
    if (process.env["TUNGATE_LONG"] !== undefined)
      process.stderr.write(
        `${flood.log().trim()}; ${taken.length} connections, the slowest in ${Math.max(...taken).toFixed(0)} ms (${quiet.toFixed(0)} ms without a flood); memory ${before} kB before, ${middle} kB at most in the first half, ${during} kB at the end; dropped at the gate ${drops["ikeRateLimited"]}\n`,
      );
    expect(taken.length).toBeGreaterThan(1);
    // How much of it gets to us is the machine's affair.
    expect(drops["ikeRateLimited"]).toBeGreaterThan(SECONDS * 100);
    expect(during - before).toBeLessThan(WARM_KB_MAX);
    expect(during - middle).toBeLessThan(GROWTH_KB_MAX);
    expect((await b.status()).connections.find(({ name }) => name === "peer")?.state).toBe("up");
  });
});
