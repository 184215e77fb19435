/** The traffic document: counters of every child as they are now. */
import { TRAFFIC_ROWS_MAX, type TrafficDocument, type TrafficRow } from "../control/traffic-schema.ts";
import type { ConnectionOutline } from "./status-outline.ts";

/** Every SA of a child together: those beside the first one carry a part of it. */
export function trafficOf(
  connections: readonly ConnectionOutline[],
  { uptimeSeconds, drops }: Pick<TrafficDocument, "uptimeSeconds" | "drops">,
): TrafficDocument {
  const rows = connections.flatMap((connection) =>
    connection.children.map(({ name, state, troubles, pairs, loss }): TrafficRow => {
      const sum = (field: "inboundPackets" | "inboundOctets" | "outboundPackets" | "outboundOctets") =>
        pairs.reduce((total, { usage }) => total + usage[field], 0);
      return {
        connection: connection.name,
        child: name,
        state,
        troubles: [...new Set([...connection.troubles, ...troubles])],
        inboundPackets: sum("inboundPackets"),
        inboundOctets: sum("inboundOctets"),
        outboundPackets: sum("outboundPackets"),
        outboundOctets: sum("outboundOctets"),
        recentSent: loss?.recent.sent ?? 0,
        recentLost: loss?.recent.lost ?? 0,
      };
    }),
  );
  const told = rows.slice(0, TRAFFIC_ROWS_MAX);
  return { uptimeSeconds, rows: told, omitted: rows.length - told.length, drops };
}
