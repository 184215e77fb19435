/** One HTTP exchange that can neither last long, nor grow large, nor reach an address that it must not. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { formatIpAddress, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import type { ResolveName } from "./dns.ts";
import { systemCode } from "./io-error.ts";

/** Times that an answer may send us elsewhere. */
const REDIRECTS_MAX = 3;
/** Addresses of a name that are tried. */
const ADDRESSES_MAX = 3;
const URL_LENGTH_MAX = 1024;

export interface HttpExchange {
  readonly url: string;
  /** Sent by POST; absent: GET. */
  readonly post?: { readonly type: string; readonly body: Uint8Array };
  /** Octets of the answer. */
  readonly octetsMax: number;
  /** Ends everything: resolving, connecting, redirects, reading. */
  readonly signal: AbortSignal;
}

export interface HttpReach {
  readonly resolve: ResolveName;
  /** Asked about the very address that is connected to, so that no name can point elsewhere in between. */
  readonly mayConnect: (address: IpAddress) => boolean;
}

/** `failed`: why, in words without what the other end chose. */
export type HttpOutcome =
  | { readonly kind: "body"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly reason: string };

const failed = (reason: string): HttpOutcome => ({ kind: "failed", reason });

/** Never rejects. */
export async function exchangeHttp(exchange: HttpExchange, reach: HttpReach): Promise<HttpOutcome> {
  let { url } = exchange;
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const target = parseUrl(url);
    if (target === undefined) return failed("no http or https address");
    const found = await addressesOf(target, reach, exchange.signal);
    if ("kind" in found) return found;
    const outcome = await exchangeWithAny(target, found, exchange);
    if (outcome.kind !== "elsewhere") return outcome;
    url = outcome.url;
  }
  return failed(`more than ${REDIRECTS_MAX} redirections`);
}

function parseUrl(text: string): URL | undefined {
  if (text.length > URL_LENGTH_MAX || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  return isHttp && url.username === "" && url.password === "" ? url : undefined;
}

async function addressesOf(
  { hostname }: URL,
  { resolve, mayConnect }: HttpReach,
  signal: AbortSignal,
): Promise<readonly IpAddress[] | HttpOutcome> {
  const literal = literalAddress(hostname);
  const resolution =
    literal === undefined
      ? await unlessAborted(resolve(hostname), signal)
      : ({ kind: "addresses", addresses: [literal] } as const);
  if (resolution === undefined) return failed("no answer in time");
  if (resolution.kind === "failed") return failed(resolution.reason);
  const allowed = resolution.addresses.filter(mayConnect);
  if (allowed.length > 0) return allowed.slice(0, ADDRESSES_MAX);
  const shown = resolution.addresses.map(formatIpAddress).slice(0, ADDRESSES_MAX).join(", ");
  return failed(`${shown} is a private or local address; gateway.revocation.private would allow it`);
}

/** The address that a host is written as; IPv6 stands in brackets. */
function literalAddress(hostname: string): IpAddress | undefined {
  return parseIpAddress(hostname.replace(/^\[(.*)\]$/, "$1"));
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
    void promise.then(resolve);
  });
}

type Step = HttpOutcome | { readonly kind: "elsewhere"; readonly url: string };

async function exchangeWithAny(
  url: URL,
  addresses: readonly IpAddress[],
  exchange: HttpExchange,
): Promise<Step> {
  let last: Step = failed("nobody there");
  for (const address of addresses) {
    last = await exchangeWith(url, address, exchange);
    if (last.kind !== "failed" || exchange.signal.aborted) return last;
  }
  return last;
}

function exchangeWith(url: URL, address: IpAddress, exchange: HttpExchange): Promise<Step> {
  return new Promise((resolve) => {
    const { post, signal } = exchange;
    const request: ClientRequest = (url.protocol === "https:" ? httpsRequest : httpRequest)({
      agent: false,
      host: formatIpAddress(address),
      port: url.port === "" ? undefined : Number(url.port),
      ...(literalAddress(url.hostname) === undefined ? { servername: url.hostname } : {}),
      path: `${url.pathname}${url.search}`,
      method: post === undefined ? "GET" : "POST",
      headers: {
        host: url.host,
        "user-agent": "tungate",
        ...(post === undefined ? {} : { "content-type": post.type, "content-length": post.body.length }),
      },
      signal,
    });
    request.on("error", (error) => resolve(failed(signal.aborted ? "no answer in time" : wordsFor(error))));
    request.on("response", (response) => void readAnswer(url, response, exchange).then(resolve));
    // Of what nobody asked for Node ends the connection without an error.
    request.on("upgrade", (_, socket) => {
      socket.destroy();
      resolve(failed("no proper HTTP"));
    });
    signal.addEventListener("abort", () => resolve(failed("no answer in time")), { once: true });
    request.end(post?.body);
  });
}

async function readAnswer(
  url: URL,
  response: IncomingMessage,
  { octetsMax, signal }: HttpExchange,
): Promise<Step> {
  const status = response.statusCode ?? 0;
  const { location } = response.headers;
  if (status >= 300 && status < 400 && location !== undefined) {
    response.destroy();
    return URL.canParse(location, url.href)
      ? { kind: "elsewhere", url: new URL(location, url.href).href }
      : failed("a redirection to nowhere");
  }
  if (status !== 200) {
    response.destroy();
    return failed(`HTTP status ${status}`);
  }
  const parts: Buffer[] = [];
  let octets = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      octets += part.length;
      if (octets > octetsMax) return failed(`more than ${octetsMax} octets`);
      parts.push(part);
    }
  } catch (error) {
    return failed(signal.aborted ? "no answer in time" : wordsFor(error));
  } finally {
    response.destroy();
  }
  return { kind: "body", bytes: new Uint8Array(Buffer.concat(parts)) };
}

function wordsFor(error: unknown): string {
  const code = systemCode(error);
  if (code === "ECONNREFUSED") return "nobody listens there";
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH") return "no way leads there";
  return code === undefined ? "no proper HTTP" : code;
}
