/** `tungate import swanctl`: five pairs of swanctl.conf, each file run by strongSwan, and replaced by us opposite the other one. */
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { run, until } from "./harness/command.ts";
import { Gateway, UNPRIVILEGED } from "./harness/gateway.ts";
import { describeWith, PROGRAM } from "./harness/prerequisites.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { type Site, TwoSites } from "./harness/two-sites.ts";

const FILES = join(import.meta.dirname, "import");

/** One file's part: which site, its own strongSwan, and ours in its place. */
interface Part {
  readonly letter: "a" | "b";
  readonly site: Site;
  readonly theirs: StrongSwan;
  readonly ours: Gateway;
}

interface Pair {
  readonly name: string;
  readonly connection: string;
  /** Notes of the import of each file. */
  readonly notes: Readonly<Record<"a" | "b", readonly RegExp[]>>;
  /** What carries once it is up, besides ping. */
  readonly port?: number;
}

const BY_HAND = /started by hand/;
const PAIRS: readonly Pair[] = [
  { name: "psk", connection: "office", notes: { a: [], b: [BY_HAND] } },
  { name: "certificates", connection: "certified", notes: { a: [/start becomes keep: up/], b: [BY_HAND] } },
  {
    name: "children",
    connection: "many",
    notes: { a: [/keep: up/, /keep: up/, /keep: up/], b: [BY_HAND, BY_HAND, BY_HAND] },
    port: 5001,
  },
  { name: "on-demand", connection: "demand", notes: { a: [], b: [] } },
  { name: "many", connection: "hub", notes: { a: [], b: [] } },
];

describeWith(["tun", "build", "strongswan"], "import swanctl", () => {
  let sites: TwoSites;
  let a: Part;
  let b: Part;

  /** The folder of one file as an operator has it: swanctl.conf with what lies beside it. */
  const folderOf = (name: string, letter: "a" | "b"): string => {
    const folder = mkdtempSync(join(sites.folder, `${name}-${letter}-`));
    chmodSync(folder, 0o755);
    for (const file of readdirSync(FILES))
      if (file.startsWith(`${name}-`)) cpSync(join(FILES, file), join(folder, file));
    cpSync(join(folder, `${name}-${letter}.conf`), join(folder, "swanctl.conf"));
    if (name !== "certificates") return folder;
    for (const [kind, file] of [
      ["x509", `${letter}.pem`],
      ["x509ca", "ca.pem"],
      ["private", `key-of-${letter}.pem`],
    ] as const) {
      mkdirSync(join(folder, kind));
      cpSync(join(sites.folder, "pki", file), join(folder, kind, file));
    }
    return folder;
  };

  const importAt = async (pair: Pair, { letter, ours }: Part): Promise<string> => {
    const folder = folderOf(pair.name, letter);
    const output = join(folder, "tungate");
    const command = [...PROGRAM, "import", "swanctl"];
    const outcome = await run([...command, join(folder, "swanctl.conf"), "-o", output], { mayFail: true });
    expect(outcome).toMatchObject({ status: 0, stdout: "" });
    const lines = outcome.stderr.trim().split("\n");
    const notes = lines.slice(0, -1);
    expect(notes.length, outcome.stderr).toBe(pair.notes[letter].length);
    for (const [i, expected] of pair.notes[letter].entries()) expect(notes[i]).toMatch(expected);
    for (const note of notes) expect(note).toMatch(/swanctl\.conf:\d+: /);
    return settle(folder, output, ours);
  };

  describe.each(["a", "b"] as const)("we in place of the gateway of side %s", (letter) => {
    const parts = () => (letter === "a" ? ([a, b] as const) : ([b, a] as const));

    // Each has a world of its own: what we protected stays closed when we stop.
    beforeAll(async () => {
      sites = await TwoSites.create();
      const part = (one: "a" | "b", site: Site): Part => ({
        letter: one,
        site,
        theirs: new StrongSwan(site.gateway, join(sites.folder, `strongswan-${one}`)),
        ours: new Gateway(site.gateway, join(sites.folder, `tungate-${one}`)),
      });
      [a, b] = [part("a", sites.a), part("b", sites.b)];
      await makeCertificates(sites.folder);
      await parts()[1].theirs.start();
    });
    afterEach(async () => {
      await parts()[0].ours.stop();
    });
    afterAll(async () => {
      await parts()[1].theirs.stop();
      await sites.remove();
    });

    test.each(PAIRS)("$name", async (pair) => {
      const [mine, other] = parts();
      const configuration = await importAt(pair, mine);
      const folder = folderOf(pair.name, other.letter);
      await mine.ours.start(configuration);
      await other.theirs.loadFile(join(folder, "swanctl.conf"));
      await until(
        "ping",
        () => mine.site.host.ping(other.site.addresses.host4),
        40_000,
        () => mine.ours.log().slice(-4000),
      );
      const { connections } = await mine.ours.status();
      const up = connections.filter(({ state }) => state === "up");
      expect(up.map(({ name }) => name.split("#")[0])).toEqual([pair.connection]);
      expect(await other.theirs.associations()).toMatch(/INSTALLED/);
      if (pair.port !== undefined && letter === "a") await expectStream(mine.site, other.site, pair.port);
      await other.theirs.terminate(pair.connection);
      await other.theirs.loadText("connections {\n}\n");
    });
  });
});

async function expectStream(from: Site, to: Site, port: number): Promise<void> {
  const [sender, receiver] = [await from.traffic(), await to.traffic()];
  await receiver.forget();
  await receiver.tcpServe(port);
  const sent = await sender.tcpSend({ host: to.addresses.host4, port, octets: 20_000 });
  expect(sent.received).toEqual({ octets: 20_000, digest: sent.digest });
}

/** Gives what was imported to the service's user, and puts it where the gateway reads. */
function settle(folder: string, output: string, ours: Gateway): string {
  const secrets = join(output, "secrets");
  const names = readdirSync(output).includes("secrets") ? readdirSync(secrets) : [];
  if (names.length > 0) {
    expect(statSync(secrets).mode & 0o777).toBe(0o700);
    mkdirSync(join(ours.folder, "secrets"), { recursive: true });
    chownSync(join(ours.folder, "secrets"), UNPRIVILEGED, UNPRIVILEGED);
  }
  for (const name of names) {
    expect(statSync(join(secrets, name)).mode & 0o777).toBe(0o600);
    ours.writeSecret(`secrets/${name}`, readFileSync(join(secrets, name)));
  }
  const keys = join(folder, "private");
  if (readdirSync(folder).includes("private"))
    for (const name of readdirSync(keys)) chownSync(join(keys, name), UNPRIVILEGED, UNPRIVILEGED);
  return readFileSync(join(output, "tungate.yaml"), "utf8");
}

async function makeCertificates(folder: string): Promise<void> {
  const pki = join(folder, "pki");
  mkdirSync(pki);
  const openssl = (...words: string[]) => run(["openssl", ...words], { mayFail: false });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const at = (name: string) => join(pki, name);
  await openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    at("ca.key"),
    "-out",
    at("ca.pem"),
    "-subj",
    "/CN=Import test CA",
    "-days",
    "2",
  );
  for (const letter of ["a", "b"]) {
    const subject = ["-subj", `/CN=${letter}.test`, "-addext", `subjectAltName=DNS:${letter}.test`];
    await openssl(
      ...[
        "req",
        "-x509",
        ...key,
        "-keyout",
        at(`key-of-${letter}.pem`),
        "-out",
        at(`${letter}.pem`),
        ...subject,
      ],
      ...[
        "-CA",
        at("ca.pem"),
        "-CAkey",
        at("ca.key"),
        "-days",
        "2",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
      ],
    );
  }
}
