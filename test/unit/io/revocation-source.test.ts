/** Fetching CRLs and OCSP responses from servers that misbehave, and keeping what came. */
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { fromUtf8, utf8 } from "../../../src/base/bytes.ts";
import { formatIpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { exchangeHttp, type HttpReach } from "../../../src/io/bounded-http.ts";
import type { Resolution } from "../../../src/io/dns.ts";
import { createSystemRandom } from "../../../src/io/random.ts";
import { createRevocationSource } from "../../../src/io/revocation-source.ts";
import { ca, gateway } from "../pki/certificate-maker.ts";
import { certificateId, ocspResponse } from "../pki/revocation-maker.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const addresses = (...texts: string[]): Resolution => ({
  kind: "addresses",
  addresses: texts.map((text) => parseIpAddress(text)!),
});
const everywhere: HttpReach = {
  resolve: () => Promise.resolve(addresses("127.0.0.1")),
  mayConnect: () => true,
};

function get(url: string, reach = everywhere, octetsMax = 1000, signal = AbortSignal.timeout(30_000)) {
  return exchangeHttp({ url, octetsMax, signal }, reach);
}

async function reasonOf(...parameters: Parameters<typeof get>): Promise<string> {
  const outcome = await get(...parameters);
  return outcome.kind === "failed" ? outcome.reason : "";
}

test("a body comes whole, from the path and host of the address", async () => {
  const port = await serve((request, response) => response.end(`${request.headers.host} ${request.url}`));
  const outcome = await get(`http://crl.example.net:${port}/a/b?c=d`);
  expect(outcome.kind === "body" && fromUtf8(outcome.bytes)).toBe(`crl.example.net:${port} /a/b?c=d`);
});

test("size, status, redirections, time and schemes have their bounds", async () => {
  const large = await serve((_, response) => response.end("x".repeat(1001)));
  expect(await reasonOf(`http://h:${large}/`)).toBe("more than 1000 octets");
  const missing = await serve((_, response) => response.writeHead(404).end());
  expect(await reasonOf(`http://h:${missing}/`)).toBe("HTTP status 404");
  const circle = await serve((_, response) => response.writeHead(302, { location: "/" }).end());
  expect(await reasonOf(`http://h:${circle}/`)).toBe("more than 3 redirections");
  const toFile = await serve((_, response) =>
    response.writeHead(302, { location: "file:///etc/passwd" }).end(),
  );
  expect(await reasonOf(`http://h:${toFile}/`)).toBe("no http or https address");
  expect(await reasonOf("ftp://h/")).toBe("no http or https address");
  expect(await reasonOf("http://user:secret@h/")).toBe("no http or https address");
  const abort = new AbortController();
  const silent = await serve(() => abort.abort());
  expect(await reasonOf(`http://h:${silent}/`, everywhere, 1000, abort.signal)).toBe("no answer in time");
  const abortBody = new AbortController();
  const endless = await serve((_, response) => response.write("x", () => abortBody.abort()));
  expect(await reasonOf(`http://h:${endless}/`, everywhere, 1000, abortBody.signal)).toBe(
    "no answer in time",
  );
});

test("a server that answers with another protocol ends the exchange", async () => {
  const server = createTcpServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () =>
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  expect(await reasonOf(`http://h:${port}/`)).toBe("no proper HTTP");
  server.close();
});

test("an address that must not be reached is not, by whatever name or redirection", async () => {
  let requests = 0;
  const port = await serve((request, response) => {
    requests++;
    if (request.url === "/away") response.writeHead(302, { location: `http://inside.example.net:${port}/` });
    response.end();
  });
  const asked: string[] = [];
  const reach = {
    resolve: (name: string) =>
      Promise.resolve(addresses(name.startsWith("inside") ? "127.0.0.2" : "127.0.0.1")),
    mayConnect: (address: Uint8Array) => {
      asked.push(formatIpAddress(address));
      return address[3] === 1;
    },
  };
  const words = "127.0.0.2 is a private or local address; gateway.revocation.private would allow it";
  expect(await reasonOf(`http://inside.example.net:${port}/`, reach)).toBe(words);
  expect(await reasonOf(`http://127.0.0.2:${port}/`, reach)).toBe(words);
  expect(await reasonOf(`http://0x7f000002:${port}/`, reach)).toBe(words);
  expect(requests).toBe(0);
  expect(await reasonOf(`http://outside.example.net:${port}/away`, reach)).toBe(words);
  expect(requests).toBe(1);
  expect(await reasonOf("http://[::1]:1/", { ...reach, mayConnect: () => false })).toMatch(
    /^::1 is a private/,
  );
  expect(asked).toContain("127.0.0.2");
});

const ASKER = { peer: "somebody", beginBy: Number.POSITIVE_INFINITY };

function source(port: number) {
  let at = 0;
  const made = createRevocationSource({ ...everywhere, random: createSystemRandom(), now: () => at });
  const request = { kind: "crl", url: `http://h:${port}/` } as const;
  return { made, request, pass: (span: number) => (at += span) };
}

test("what was fetched is kept for an hour, and fetched once by many", async () => {
  let requests = 0;
  const port = await serve((_, response) => response.end(String(++requests)));
  const { made, request, pass } = source(port);
  const together = await Promise.all([made.get(request, ASKER), made.get(request, ASKER)]);
  expect(together.map((outcome) => outcome.kind === "body" && fromUtf8(outcome.bytes))).toEqual(["1", "1"]);
  pass(3_599_999);
  await made.get(request, ASKER);
  expect(requests).toBe(1);
  pass(1);
  await made.get(request, ASKER);
  expect(requests).toBe(2);
});

test("failures, and what proved nothing, are asked for again after half a minute and not before", async () => {
  let requests = 0;
  const port = await serve((_, response) => response.writeHead(++requests === 2 ? 200 : 500).end("list"));
  const { made, request, pass } = source(port);
  await made.get(request, ASKER);
  pass(29_999);
  expect(await made.get(request, ASKER)).toMatchObject({ kind: "failed" });
  expect(requests).toBe(1);
  pass(1);
  expect(await made.get(request, ASKER)).toMatchObject({ kind: "body" });
  made.distrust(request);
  pass(30_000);
  // Nobody gives a new one: the old one has to do.
  expect(await made.get(request, ASKER)).toMatchObject({ kind: "body", bytes: utf8("list") });
  expect(requests).toBe(3);
});

test("a peer whose responders are slow holds up no other: four at once, some wait, and more are not asked for", async () => {
  const asked: string[] = [];
  const waiting: (() => void)[] = [];
  const port = await serve((request, response) => {
    asked.push(request.url!);
    if (request.url!.startsWith("/slow")) waiting.push(() => response.end("late"));
    else response.end("at once");
  });
  const { made, pass } = source(port);
  const get = (name: string, peer: string) =>
    made.get({ kind: "crl", url: `http://h:${port}/${name}` }, { peer, beginBy: 9000 });
  const slow = Array.from({ length: 21 }, (_, i) => get(`slow${i}`, "slow"));
  expect(await slow[20]).toEqual({ kind: "failed", reason: "too many are fetched at once" });
  expect(await get("own", "other")).toMatchObject({ kind: "body" });
  expect(asked.filter((url) => url.startsWith("/slow"))).toHaveLength(4);
  waiting.shift()!();
  expect(await slow[0]).toMatchObject({ kind: "body" });
  await expect.poll(() => asked).toContain("/slow4");
  // Whoever has waited too long is not asked for any more.
  pass(9001);
  waiting.shift()!();
  await slow[1];
  expect(await slow[19]).toEqual({ kind: "failed", reason: "too many are fetched at once" });
  expect(asked).not.toContain("/slow5");
  made.close();
  await Promise.all(slow);
});

test("what one peer waits for in vain another is asked for all the same", async () => {
  const waiting: (() => void)[] = [];
  const port = await serve((request, response) => {
    if (request.url!.startsWith("/slow")) waiting.push(() => response.end("late"));
    else response.end("list");
  });
  const { made, pass } = source(port);
  const get = (name: string, peer: string, beginBy: number) =>
    made.get({ kind: "crl", url: `http://h:${port}/${name}` }, { peer, beginBy });
  const slow = Array.from({ length: 4 }, (_, i) => get(`slow${i}`, "slow", 1000));
  const own = get("shared", "slow", 1000);
  const others = ["b", "c"].map((peer) => get("shared", peer, 9000));
  const late = get("shared", "late", 1000);
  await expect.poll(() => waiting.length).toBe(4);
  pass(1001);
  waiting.shift()!();
  const tooMany = { kind: "failed", reason: "too many are fetched at once" };
  expect(await own).toEqual(tooMany);
  expect(await Promise.all(others)).toMatchObject([{ kind: "body" }, { kind: "body" }]);
  expect(await late).toEqual(tooMany);
  made.close();
  await Promise.all(slow);
});

test("not more than sixteen are fetched at once, and who has the fewest is next", async () => {
  const waiting = new Map<string, () => void>();
  const port = await serve((request, response) => waiting.set(request.url!, () => response.end()));
  const { made } = source(port);
  const get = (name: string, peer: string) =>
    made.get({ kind: "crl", url: `http://h:${port}/${name}` }, { peer, beginBy: 9000 });
  const first = ["a", "b", "c", "d"].flatMap((peer) =>
    Array.from({ length: 4 }, (_, i) => get(`${peer}${i}`, peer)),
  );
  const again = get("a4", "a");
  const late = get("e0", "e");
  await expect.poll(() => waiting.size).toBe(16);
  waiting.get("/a0")!();
  await expect.poll(() => [...waiting.keys()].slice(16)).toEqual(["/e0"]);
  made.close();
  await Promise.all([...first, again, late]);
});

test("[OCSP-04] a responder is asked by POST with a nonce, and another nonce is not taken", async () => {
  const root = ca("CN=Root");
  const own = gateway(root);
  const nonces: Uint8Array[] = [];
  let answerWith: (nonce: Uint8Array) => Uint8Array | undefined = (nonce) => nonce;
  const port = await serve((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const nonce = new Uint8Array(Buffer.concat(parts).subarray(-16));
      nonces.push(nonce);
      expect([request.method, request.headers["content-type"]]).toEqual(["POST", "application/ocsp-request"]);
      const given = answerWith(nonce);
      response.end(
        ocspResponse({
          issuer: root,
          about: own,
          status: "good",
          ...(given === undefined ? {} : { nonce: given }),
        }),
      );
    });
  });
  const { made, pass } = source(port);
  const ask = () =>
    made.get({ kind: "ocsp", url: `http://h:${port}/`, certificateId: certificateId(own, root) }, ASKER);
  expect(await ask()).toMatchObject({ kind: "body" });
  answerWith = () => undefined;
  pass(3_600_000);
  expect(await ask()).toMatchObject({ kind: "body" });
  answerWith = (nonce) => nonce.map((octet) => octet ^ 1);
  expect(
    await made.get(
      { kind: "ocsp", url: `http://h:${port}/2`, certificateId: certificateId(own, root) },
      ASKER,
    ),
  ).toEqual({
    kind: "failed",
    reason: "the response answers another question (nonce)",
  });
  expect(nonces[0]).not.toEqual(nonces[1]);
});
