/** The documents of the control API as plain types. In the package scripts/build-types.ts puts others of the same names here. */
export type { GatewayEvent } from "./events-schema.ts";
export type { ExplainAnswer } from "./explain-schema.ts";
export type { ReloadOutcome } from "./reload-schema.ts";
export type { ChildStatus, CommandOutcome, ConnectionStatus, StatusDocument } from "./schema.ts";
