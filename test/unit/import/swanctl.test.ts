/** `import swanctl`: the notation with its places, what becomes of each setting, and what is said of the rest. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import type { CommandContext } from "../../../src/cli/command-context.ts";
import { runCommandLine } from "../../../src/cli/command-line.ts";
import { importSwanctl } from "../../../src/import/swanctl.ts";
import type { CredentialFiles } from "../../../src/import/swanctl-sides.ts";
import { readSwanctl, SwanctlError, type SwanctlFiles } from "../../../src/import/swanctl-text.ts";
import { load, problemsOf } from "../config/memory-reader.ts";

type Files = Readonly<Record<string, string>>;

function disk(files: Files): SwanctlFiles & CredentialFiles {
  return {
    read: (path) =>
      Object.hasOwn(files, path) ? { text: files[path]! } : { reason: "there is no such file" },
    find(pattern, from) {
      const path = pattern.startsWith("/") ? pattern : `${from.slice(0, from.lastIndexOf("/"))}/${pattern}`;
      if (!path.includes("*")) return [path];
      const [head, tail] = path.split("*") as [string, string];
      return Object.keys(files).filter((one) => one.startsWith(head) && one.endsWith(tail));
    },
    inFolder: (folder) => Object.keys(files).filter((one) => one.startsWith(`/etc/swanctl/${folder}/`)),
    isKeyOf: (key, _, certificate) => files[key] === `key of ${files[certificate]}`,
  };
}

const FILE = "/etc/swanctl/swanctl.conf";
const parse = (text: string, more: Files = {}) => readSwanctl(FILE, disk({ [FILE]: text, ...more })).root;
const translate = (text: string, more: Files = {}) => importSwanctl(FILE, disk({ [FILE]: text, ...more }));
const failure = (text: string, more: Files = {}): string => {
  try {
    parse(text, more);
  } catch (error) {
    if (error instanceof SwanctlError) return error.message;
    throw error;
  }
  throw new Error("it was read");
};
const secretsOf = (imported: ReturnType<typeof translate>): Files =>
  Object.fromEntries(imported.secrets.map(({ name, text }) => [name, `${text}\n`]));
const SECRET = "the key of both of them";

/** A connection that works, with more of the connection, of its child, and of the file. */
function office(connection = "", child = "", more = ""): string {
  return `connections {
  office { ${/version/.test(connection) ? "" : "version = 2"}
    local_addrs = 192.0.2.1
    remote_addrs = 192.0.2.2
    ${connection}
    local { auth = psk
      id = a.test }
    remote { auth = psk
      id = b.test }
    children { lan {
      local_ts = 10.1.0.0/16
      remote_ts = 10.2.0.0/16
      start_action = start
      close_action = start
      ${child}
    } }
  }
}
secrets { ike-office { secret = "${SECRET}" } }
${more}`;
}
const connectionOf = (imported: ReturnType<typeof translate>) =>
  load(imported.yaml, { files: secretsOf(imported) }).connections[0]!.connection;
const notesOf = (text: string, more: Files = {}) =>
  translate(text, more).notes.map(({ line, path, message }) => `${line} ${path}: ${message}`);

describe("the notation", () => {
  test("sections, settings, comments, quotes and blanks", () => {
    const root = parse(
      '# head\na {\n  one = 1 # behind\n\ttwo = "x # {} \\"y\\"\\n" z  \n b { three=3 } c {\n}\n}\n',
    );
    const a = root.sections.get("a")!;
    expect(a.settings.get("one")).toEqual({ file: FILE, line: 3, value: "1" });
    expect(a.settings.get("two")!.value).toBe('x # {} "y"\n z');
    expect(a.sections.get("b")!.settings.get("three")!.value).toBe("3");
    expect([...a.sections.keys()]).toEqual(["b", "c"]);
  });

  test("a section that comes again goes on, a setting that comes again replaces, an empty one removes", () => {
    const root = parse("a { x = 1\n y = 1\n b { p = 1 } }\na { x = 2\n y =\n b { q = 2 } }\n");
    const a = root.sections.get("a")!;
    expect([...a.settings].map(([key, { value }]) => [key, value])).toEqual([["x", "2"]]);
    expect([...a.sections.get("b")!.settings.keys()]).toEqual(["p", "q"]);
  });

  test("references: the first wins, one's own word over both, below too", () => {
    const root = parse(`one { x = 1
 y = 1
 b { p = 1
 q = 1 } }
two { x = 2
 z = 2 }
a : one, two { y = own
 b { q = own } }
c { d : one.b { r = own } }
`);
    const values = (section: ReturnType<typeof parse>) =>
      Object.fromEntries([...section.settings].map(([key, { value }]) => [key, value]));
    const a = root.sections.get("a")!;
    expect(values(a)).toEqual({ x: "1", y: "own", z: "2" });
    expect(values(a.sections.get("b")!)).toEqual({ p: "1", q: "own" });
    expect(values(root.sections.get("c")!.sections.get("d")!)).toEqual({ p: "1", q: "1", r: "own" });
  });

  test("includes are relative to their file, may have patterns, and stand where they are", () => {
    const more = {
      "/etc/swanctl/conf.d/1.conf": "a { x = 1 }\ninclude deep/*.inc\n",
      "/etc/swanctl/conf.d/2.conf": "a { x = 2 }\n",
      "/etc/swanctl/conf.d/deep/z.inc": "b { y = 3 }\n",
    };
    const root = parse("include conf.d/*.conf\ninclude none/*.conf\nc { include = text }\n", more);
    expect(root.sections.get("a")!.settings.get("x")).toMatchObject({
      value: "2",
      file: "/etc/swanctl/conf.d/2.conf",
    });
    expect(root.sections.get("b")!.settings.get("y")!.value).toBe("3");
    expect(root.sections.get("c")!.settings.get("include")!.value).toBe("text");
  });

  test.each([
    ["a {\n b {\n }\n", `${FILE}:1: this section is not closed`],
    ["a { }\n}\n", `${FILE}:2: closes a section`],
    ["a\n= 1", `${FILE}:1: behind "a" stands neither = nor {`],
    ["\n\n= 1", `${FILE}:3: "=" stands where a name is expected`],
    ['a { x = "open\n }\n', `${FILE}:1: this text is not closed`],
    ["a : none { }", `${FILE}:1: there is no section none`],
    ["\na : a { }", `${FILE}:2: references are nested more than`],
    ["include gone.conf", `${FILE}:1: /etc/swanctl/gone.conf cannot be read: there is no such file`],
    ["include swanctl.conf", "nested more than 10 deep; does a file include itself?"],
    ["a {".repeat(30), "sections are nested more than"],
  ])("%j is refused with its place", (text, message) => {
    expect(failure(text)).toContain(message);
  });

  test("files, settings and references that multiply are bounded", () => {
    const doubling = Array.from({ length: 30 }, (_, i) => `s${i} : s${i + 1}, s${i + 1} { }`).join("\n");
    expect(failure(`${doubling}\ns30 { x = 1 }`)).toMatch(/references are nested|more than 100000 settings/);
    const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`/etc/swanctl/c/${i}.conf`, ""]));
    expect(failure("include c/*.conf", many)).toContain("includes more than 64 files");
    expect(failure("#".repeat(1024 * 1024 + 1))).toContain("is it a configuration at all?");
  });

  test("any text is read or refused in a sentence", () => {
    const piece = fc.constantFrom(
      "a",
      "b",
      " ",
      "\n",
      "=",
      "{",
      "}",
      ":",
      ",",
      '"',
      "\\",
      "#",
      "include ",
      "connections",
      "children",
      "x = 1\n",
      "\u0000",
      "é",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        try {
          translate(pieces.join(""));
        } catch (error) {
          if (!(error instanceof SwanctlError)) throw error;
          expect(error.message).toMatch(/:\d+: \S/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("connections", () => {
  test("the settings that there are here arrive", () => {
    const imported = translate(
      office(
        "proposals = aes256-sha256-modp2048, default\n dpd_delay = 15s\n rekey_time = 3h\n rand_time = 18m\n mobike = no\n fragmentation = no\n reauth_time = 1d\n unique = keep\n childless = prefer\n encap = yes\n remote_port = 4500",
        "esp_proposals = aes128gcm16-x25519\n rekey_time = 30m\n rekey_bytes = 1g\n rekey_packets = 1000000\n rand_time = 90\n replay_window = 64\n copy_df = no\n copy_ecn = no\n copy_dscp = no\n tfc_padding = mtu\n mode = tunnel",
      ),
    );
    expect(imported.notes).toEqual([]);
    const { ike, remote, encapsulation, children, keep } = connectionOf(imported);
    expect(ike).toMatchObject({
      liveness: 15_000,
      rekey: { time: 10_800_000, jitter: 0.1 },
      mobike: false,
      fragmentation: "off",
      reauth: 86_400_000,
      unique: "reject",
      childless: "prefer",
    });
    expect([remote.port, encapsulation, keep]).toEqual([4500, "udp", "up"]);
    expect(children[0]).toMatchObject({
      rekey: { time: 1_800_000, jitter: 0.05 },
      lifetime: { softOctets: 2 ** 30, softPackets: 1_000_000 },
      handling: { replayWindow: 64, df: "clear", ecn: "clear", dscp: 0 },
    });
  });

  test.each([
    ["", "keep"],
    ["unique = no", "keep"],
    ["unique = keep", "reject"],
    ["unique = replace", undefined],
    ["unique = never", "never"],
  ] as const)("%j is unique: %s here", (setting, unique) => {
    const imported = translate(office(setting));
    expect(imported.notes).toEqual([]);
    expect(connectionOf(imported).ike.unique ?? "replace").toBe(unique ?? "replace");
  });

  test("what has no counterpart is said with its line and what that means, and the rest still comes", () => {
    const notes = notesOf(
      office(
        "pools = dhcp\n vips = 0.0.0.0\n nonsense = 1",
        "updown = /bin/x\n mark_in = 42\n esp_proposals = aes256-md5, aes256-sha256",
        "pools { dhcp { addrs = 10.9.0.0/24 } }",
      ),
    );
    expect(notes).toEqual([
      expect.stringMatching(
        /^5 connections\.office\.pools: address pools are not there: peers that ask for an address get none/,
      ),
      expect.stringMatching(/^6 connections\.office\.vips: /),
      expect.stringMatching(/^7 connections\.office\.nonsense: is not known here; left out/),
      expect.stringMatching(/^17 connections\.office\.children\.lan\.updown: scripts/),
      expect.stringMatching(/^18 .*mark_in: marks/),
      expect.stringMatching(/^19 .*esp_proposals: aes256-md5 is left out: /),
      expect.stringMatching(/^24 pools: address pools are not there/),
    ]);
    expect(connectionOf(translate(office("pools = dhcp"))).name).toBe("office");
  });

  test("a connection that also took IKEv1 is there, and that it no longer does is said", () => {
    for (const text of [office("version = 0"), office().replace("version = 2", "")])
      expect(notesOf(text)).toEqual([
        expect.stringMatching(/^\d+ connections\.office\.version: .* also answers IKEv1/),
      ]);
    expect(notesOf(office())).toEqual([]);
  });

  test("IKEv1, EAP and children that nothing is left of are left out, which is said", () => {
    for (const [text, words] of [
      [office("version = 1"), "IKEv1 is not there"],
      [office().replace("auth = psk", "auth = eap-mschapv2"), "eap-mschapv2 is not there"],
      [
        office().replace("local_ts = 10.1.0.0/16", "local_ts = fe80::%eth0"),
        "no network is left on one side",
      ],
    ] as const) {
      const imported = translate(text);
      expect(imported.connections).toBe(0);
      expect(imported.notes.map(({ message }) => message).join("\n")).toContain(words);
    }
  });

  test("selectors: protocols, ports by number and name, ranges; dynamic is a side's address", () => {
    const text = office("", "", "")
      .replace(
        "local_ts = 10.1.0.0/16",
        "local_ts = 10.1.0.0/16[tcp/https], 10.1.0.10-10.1.0.20[udp/1000-2000], dynamic[gre]",
      )
      .replace("remote_ts = 10.2.0.0/16", "");
    const { children } = connectionOf(translate(text));
    expect(translate(text).yaml).toContain(
      '[ "10.1.0.0/16[tcp/443]", "10.1.0.10-10.1.0.20[udp/1000-2000]", "192.0.2.1[gre]" ]',
    );
    expect(translate(text).yaml).toContain("remote: [ 192.0.2.2 ]");
    expect(children).toHaveLength(1);
  });

  test("pass and drop are policies", () => {
    const { yaml } = translate(
      office(
        "",
        "}\n leave { local_ts = 10.1.0.0/16\n remote_ts = 10.3.0.0/16\n mode = pass }\n never { local_ts = 10.1.0.0/16\n remote_ts = 10.4.0.0/16\n mode = drop",
      ),
    );
    expect(yaml).toContain(
      "policies: [ { local: [ 10.1.0.0/16 ], remote: [ 10.3.0.0/16 ], action: bypass }, { local: [ 10.1.0.0/16 ], remote: [ 10.4.0.0/16 ], action: discard } ]",
    );
  });

  test("transport mode brings the addresses to listen on", () => {
    const text = office("", "mode = transport")
      .replace("local_ts = 10.1.0.0/16", "")
      .replace("remote_ts = 10.2.0.0/16", "");
    const imported = translate(text);
    expect(imported.yaml).toContain("listen: [ 192.0.2.1 ]");
    expect(connectionOf(imported).children[0]!.handling.mode).toBe("transport");
  });

  test("names that are none here are changed, which is said", () => {
    const imported = translate(office().replace("office {", "büro+1 {"));
    expect(imported.notes[0]!.message).toBe("is called b_ro_1 here");
    expect(connectionOf(imported).name).toBe("b_ro_1");
  });
});

describe("names that meet", () => {
  const two = (one: string, other: string) => {
    const [connection] = / {2}office \{[\s\S]*?\n {2}\}\n/.exec(office())!;
    return office().replace(
      connection,
      connection.replace("office", one) +
        connection.replace("office", other).replace("192.0.2.2", "192.0.2.3").replace("10.2.0.0", "10.3.0.0"),
    );
  };

  test("connections whose names become the same both stay", () => {
    const imported = translate(two("büro", "b_ro"));
    expect(imported.notes.map(({ message }) => message)).toEqual([
      "is called b_ro here",
      "is called b_ro-2 here",
    ]);
    const read = load(imported.yaml, { files: secretsOf(imported) }).connections;
    expect(read.map(({ connection }) => connection.name)).toEqual(["b_ro", "b_ro-2"]);
  });

  test("secrets whose names become the same are two files, each for its connection", () => {
    const secrets = `secrets {
 ike-a/b { id = b.test
  secret = "the first of the keys" }
 ike-a_b { id = c.test
  secret = "the second of the keys" }
}`;
    const text = two("one", "two").replace(/(two \{[\s\S]*?)id = b\.test/, "$1id = c.test");
    const imported = translate(text.replace(/secrets \{.*\}\n/, secrets));
    expect(imported.secrets).toEqual([
      { name: "secrets/ike-a_b", text: "the first of the keys" },
      { name: "secrets/ike-a_b-2", text: "the second of the keys" },
    ]);
    expect(imported.yaml).toMatch(/one:[\s\S]*ike-a_b \}[\s\S]*two:[\s\S]*ike-a_b-2 \}/);
  });

  test("a section that only begins like one of ours is said", () => {
    const notes = notesOf(`${office()}\nconnections-old { gw { version = 1 } }\nsecretsx { y = 1 }\n`);
    expect(notes).toEqual([
      expect.stringMatching(/connections-old: is not known here/),
      expect.stringMatching(/secretsx: is not known here/),
    ]);
  });
});

test("nothing in the file commands a terminal, or writes YAML through a comment", () => {
  const command = "\u001b[2J";
  const more = { [`/etc/swanctl/c/x\nversion: 7\n.conf`]: office(`${command} = 1`, `mode = ${command}x`) };
  const { yaml, notes } = translate("include c/*.conf\n", more);
  const shown = notes.map(({ path, message }) => path + message).join("");
  expect(shown).toContain("?[2J");
  expect(shown + yaml).not.toContain("\u001b");
  expect(yaml).not.toMatch(/^version: 7/m);
  expect(failure(`${command} nothing`)).not.toContain("\u001b");
});

describe("identities and secrets", () => {
  test("who the peer is never becomes anybody: what cannot be written leaves the connection out", () => {
    const imported = translate(office().replace("id = b.test", "id = %nobody"));
    expect(imported.connections).toBe(0);
    expect(imported.notes.map(({ message }) => message)).toEqual([
      "%nobody has no counterpart; the connection is left out",
    ]);
  });

  test("patterns mean the same in both", () => {
    const idOf = (id: string) => translate(office().replace("id = b.test", `id = ${id}`));
    expect(connectionOf(idOf("*.b.test")).remote.id).toMatchObject({ data: utf8("*.b.test") });
    expect(idOf('"C=CH, CN=*"').yaml).toContain("id: dn:C=CH, CN=*\n");
    expect(problemsOf(idOf("b*.test").yaml, { files: { "secrets/ike-office": SECRET } })[0]!.message).toMatch(
      /a \* stands for all that comes before/,
    );
  });

  test.each([
    ["@gw.test", "fqdn:gw.test"],
    ['"@#c0ffee"', "keyid:0xc0ffee"],
    ["@@joe@example.net", "email:joe@example.net"],
    ["userfqdn:joe@example.net", "email:joe@example.net"],
    ["ipv4:192.0.2.9", "ip:192.0.2.9"],
    ['"C=CH, O=Example, CN=gw"', "dn:C=CH, O=Example, CN=gw"],
    ["2001:db8::7", "2001:db8::7"],
    ["192.0.2.7", "192.0.2.7"],
  ])("%s is %s", (theirs, ours) => {
    const imported = translate(office().replace("id = b.test", `id = ${theirs}`));
    expect(imported.yaml).toContain(`id: ${ours}\n`);
    expect(connectionOf(imported).remote.id).toBeDefined();
  });

  test("the secret that names the pair is taken; others are nobody's", () => {
    const secrets = `secrets {
 ike-any { secret = "for anybody at all, 1234" }
 ike-pair { id-1 = @a.test
  id-2 = b.test
  secret = 0x00112233445566778899aabbccddeeff }
 ike-other { id = c.test
  secret = "another one, for others" }
}`;
    const imported = translate(office().replace(/secrets \{.*\}\n/, secrets));
    expect(imported.secrets).toEqual([
      { name: "secrets/ike-pair", text: "00112233445566778899aabbccddeeff" },
    ]);
    expect(imported.yaml).toContain("psk: { file: secrets/ike-pair, encoding: hex }");
    const { local } = connectionOf(imported);
    expect(local.auth).toMatchObject({
      kind: "psk",
      secret: Uint8Array.from({ length: 16 }, (_, i) => i * 0x11),
    });
  });

  test("without a secret it says so, and check says it again", () => {
    const text = office().replace(/secrets \{.*\}\n/, "");
    expect(notesOf(text)).toEqual([
      "2 connections.office: has no secret for its identities in the file; write psk: { file: ... }",
    ]);
    expect(problemsOf(translate(text).yaml).map(({ code }) => code)).toEqual(["CONFIG_MISSING_KEY"]);
  });

  test("no secret is in the configuration, in a note or in an error", () => {
    const hidden = "hunter2hunter2hunter2";
    const texts = [
      office().replace(SECRET, hidden),
      `${office().replace(SECRET, hidden)}\n}`,
      office("pools = x").replace("secret =", "secret-1 = 5\n secret =").replace(SECRET, hidden),
    ];
    for (const text of texts) {
      try {
        const { yaml, notes } = translate(text);
        expect(JSON.stringify([yaml, notes])).not.toContain(hidden);
      } catch (error) {
        expect(String(error)).not.toContain(hidden);
      }
    }
  });

  test("certificates: the named one with its key, the CA of the folder or of authorities", () => {
    const files = {
      "/etc/swanctl/x509/gw.pem": "certificate 1",
      "/etc/swanctl/x509/other.pem": "certificate 2",
      "/etc/swanctl/x509ca/ca.pem": "ca",
      "/etc/swanctl/private/x.key": "key of certificate 2",
      "/etc/swanctl/private/y.key": "key of certificate 1",
      "/etc/swanctl/x509crl/ca.crl": "crl",
    };
    const text = office()
      .replaceAll("auth = psk", "auth = pubkey")
      .replace("id = a.test }", "certs = gw.pem }")
      .replace("id = b.test }", "id = b.test\n revocation = strict }")
      .replace(/secrets \{.*\}\n/, 'secrets { private-1 { file = y.key\n secret = "opens it" } }\n');
    const imported = translate(text, files);
    expect(imported.notes).toEqual([]);
    expect(imported.yaml).toMatch(
      /certificate: \/etc\/swanctl\/x509\/gw\.pem\n +private_key:\n +file: \/etc\/swanctl\/private\/y\.key\n +password: \{ file: secrets\/private-1 \}|private_key: \{ file: \/etc\/swanctl\/private\/y\.key, password: \{ file: secrets\/private-1 \} \}/,
    );
    expect(imported.yaml).toContain("ca: [ /etc/swanctl/x509ca/ca.pem ]");
    expect(imported.yaml).toContain("crl: [ /etc/swanctl/x509crl/ca.crl ]");
    expect(imported.yaml).toContain("revocation: strict");
  });
});

describe("the command", () => {
  async function command(args: readonly string[]) {
    const written = { out: "", error: "" };
    const context: CommandContext = {
      version: "0.1.0",
      environment: {},
      isErrorTerminal: false,
      write: (text) => {
        written.out += text;
      },
      writeError: (text) => {
        written.error += text;
      },
    };
    return { status: await runCommandLine(["import", "swanctl", ...args], context), ...written };
  }

  test("stdout has the configuration and never a secret; -o writes both, and never over anything", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tungate-import-"));
    try {
      const file = join(folder, "swanctl.conf");
      writeFileSync(file, office("pools = x"));
      const plain = await command([file]);
      expect(plain.status).toBe(0);
      expect(plain.out).toContain("psk: { file: secrets/ike-office }");
      expect(plain.error).toMatch(
        /swanctl\.conf:5: connections\.office\.pools: [\s\S]*1 connection; 1 secret not written/,
      );
      expect(plain.out + plain.error).not.toContain(SECRET);

      const output = join(folder, "out");
      expect(await command([file, "-o", output])).toMatchObject({ status: 0, out: "" });
      expect(readFileSync(join(output, "secrets/ike-office"), "utf8")).toBe(`${SECRET}\n`);
      expect(statSync(join(output, "secrets/ike-office")).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(output, "tungate.yaml"), "utf8")).toBe(plain.out);
      const again = await command([file, "-o", output]);
      expect(again).toMatchObject({ status: 1, out: "" });
      expect(again.error).toMatch(/is there already; name an empty folder/);

      // A folder of secrets that is there may be anybody's: nothing is written at all.
      const half = join(folder, "half");
      mkdirSync(join(half, "secrets"), { recursive: true });
      expect((await command([file, "-o", half])).error).toMatch(/secrets in .* is there already/);
      expect(readdirSync(half)).toEqual(["secrets"]);

      const other = join(folder, "other");
      mkdirSync(other);
      writeFileSync(join(other, "tungate.yaml"), "mine");
      expect(await command([file, "-o", other])).toMatchObject({ status: 1, out: "" });
      expect(readdirSync(other)).toEqual(["tungate.yaml"]);
      expect(readFileSync(join(other, "tungate.yaml"), "utf8")).toBe("mine");

      const json = await command([file, "--json"]);
      expect(JSON.parse(json.out)).toMatchObject({
        connections: 1,
        secrets: ["secrets/ike-office"],
        problems: [],
        notes: [{ line: 5, path: "connections.office.pools" }],
      });
      expect(json.out).not.toContain(SECRET);
      expect(await command([join(folder, "gone.conf")])).toMatchObject({
        status: 1,
        error: expect.stringContaining("there is no such file"),
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
