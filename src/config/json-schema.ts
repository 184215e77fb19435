/** The configuration as JSON Schema (draft-07, which editors read), from the schemas that read it. */
import type { z } from "zod";
import { CHILD_DEFAULTS, CONNECTION_DEFAULTS, GATEWAY_DEFAULTS } from "./defaults.ts";
import { type JsonSchema, KEY_DESCRIPTIONS, type KeyDescription } from "./key-descriptions.ts";
import { wordsOf } from "./leaf.ts";
import { isMapping } from "./preset.ts";
import { childSchema, connectionSchemas, fileSchema, manualSchema } from "./schema.ts";
import type { SecretSettings } from "./secret.ts";

type Zod = z.core.$ZodType & { readonly def: Record<string, unknown> };

/** Where a key without words of its own has them from. */
const SAME_AS: readonly (readonly [from: string, to: string])[] = [
  ["manual.in.", "manual.out."],
  ["manual.", "child."],
  ["peer.", "connection.remote."],
];
const DEFAULTS: JsonSchema = {
  gateway: GATEWAY_DEFAULTS,
  connection: CONNECTION_DEFAULTS,
  child: CHILD_DEFAULTS,
};
const NAME = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$";
const BY_NAME = { type: "object", propertyNames: { pattern: NAME } } as const;

/** @throws Error for a key that has no description */
export function configurationJsonSchema(): JsonSchema {
  const { connection, oneOfMany } = connectionSchemas(NO_SECRETS);
  const file = objectOf(fileSchema as unknown as Zod, "");
  const properties = file["properties"] as Record<string, JsonSchema>;
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "tungate.yaml",
    description: "Configuration of Tungate, a userspace IPsec gateway; docs/configuration.md has every key",
    ...file,
    properties: {
      ...properties,
      connections: {
        ...properties["connections"],
        ...BY_NAME,
        additionalProperties: { $ref: "#/definitions/connection" },
      },
    },
    definitions: {
      connection: connectionOf(connection as unknown as Zod),
      peer: { ...objectOf(oneOfMany as unknown as Zod, "peer"), type: ["object", "null"] },
      // With a preset a child may have everything from there.
      child: { ...objectOf(childSchema as unknown as Zod, "child"), type: ["object", "null"], required: [] },
      manual: objectOf(manualSchema(NO_SECRETS) as unknown as Zod, "manual"),
    },
  };
}

/** The schemas are built for what they look like; nothing is read with them. */
const NO_SECRETS: SecretSettings = {
  reader: { readFile: () => ({ kind: "missing" }), environment: () => undefined, wallClock: () => 0 },
  directory: "/",
  read: [],
  files: new Set(),
  secretFiles: new Set(),
  certificates: new Map(),
};

function connectionOf(schema: Zod): JsonSchema {
  const made = objectOf(schema, "connection");
  const properties = made["properties"] as Record<string, JsonSchema>;
  const remote = properties["remote"] as JsonSchema;
  const ofRemote = remote["properties"] as Record<string, JsonSchema>;
  return {
    ...made,
    properties: {
      ...properties,
      remote: {
        ...remote,
        properties: {
          ...ofRemote,
          ids: {
            ...ofRemote["ids"],
            type: "object",
            minProperties: 1,
            additionalProperties: { $ref: "#/definitions/peer" },
          },
        },
        required: [],
        anyOf: [{ required: ["address"] }, { required: ["ids"] }],
      },
      children: {
        ...properties["children"],
        ...BY_NAME,
        additionalProperties: { $ref: "#/definitions/child" },
      },
      manual: { ...properties["manual"], ...BY_NAME, additionalProperties: { $ref: "#/definitions/manual" } },
    },
    anyOf: [{ required: ["children"] }, { required: ["manual"] }, { required: ["preset"] }],
    if: { not: { required: ["preset"] } },
    // biome-ignore lint/suspicious/noThenProperty: the word of JSON Schema
    then: {
      properties: { children: { additionalProperties: { type: "object", required: ["local", "remote"] } } },
    },
  };
}

function objectOf(given: Zod, path: string): JsonSchema {
  const schema = unwrapped(given);
  const shape = schema.def["shape"] as Record<string, Zod>;
  const entries = Object.entries(shape).map(
    ([key, one]) => [key, keyOf(one, path === "" ? key : `${path}.${key}`)] as const,
  );
  const required = Object.entries(shape).flatMap(([key, one]) => (isOptional(one) ? [] : [key]));
  return {
    type: "object",
    properties: Object.fromEntries(entries),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
}

function keyOf(schema: Zod, path: string): JsonSchema {
  const about = describedAs(path);
  const { description } = about;
  const usual = defaultOf(path);
  return { description, ...shapeOf(schema, path, about), ...(usual === undefined ? {} : { default: usual }) };
}

function shapeOf(schema: Zod, path: string, about: KeyDescription): JsonSchema {
  const inner = unwrapped(schema);
  if (inner.def["shape"] !== undefined) {
    const object = objectOf(inner, path);
    return about.short === undefined ? object : { anyOf: [about.short, object] };
  }
  if (inner.def["type"] === "array") {
    const items = shapeOf(inner.def["element"] as Zod, path, about);
    return { anyOf: [items, { type: "array", items, ...boundsOf(inner) }] };
  }
  const words = wordsOf(inner);
  return words === undefined ? (about.value ?? {}) : { enum: words };
}

/** How many entries a list has. */
function boundsOf(schema: Zod): JsonSchema {
  const checks = (schema.def["checks"] ?? []) as readonly {
    readonly _zod: { readonly def: Record<string, unknown> };
  }[];
  const bound = (check: string, key: string) =>
    checks.find(({ _zod }) => _zod.def["check"] === check)?._zod.def[key];
  const [least, most] = [bound("min_length", "minimum"), bound("max_length", "maximum")];
  return {
    ...(least === undefined ? {} : { minItems: least }),
    ...(most === undefined ? {} : { maxItems: most }),
  };
}

/** Without what is optional or read before it is looked at. */
function unwrapped(schema: Zod): Zod {
  const { def } = schema;
  if (def["type"] === "optional") return unwrapped(def["innerType"] as Zod);
  const isRead = def["type"] === "pipe" && (def["in"] as Zod).def["type"] === "transform";
  return isRead ? unwrapped(def["out"] as Zod) : schema;
}

function isOptional(schema: Zod): boolean {
  return schema.def["type"] === "optional";
}

function describedAs(path: string): KeyDescription {
  const known = KEY_DESCRIPTIONS[path];
  if (known !== undefined) return known;
  const [from, to] = SAME_AS.find(([one]) => path.startsWith(one)) ?? [];
  if (from === undefined) throw new Error(`the key ${path} has no description in config/key-descriptions.ts`);
  return describedAs(`${to}${path.slice(from.length)}`);
}

function defaultOf(path: string): unknown {
  let value: unknown = DEFAULTS;
  for (const part of path.split(".")) value = isMapping(value) ? value[part] : undefined;
  return isMapping(value) ? undefined : value;
}
