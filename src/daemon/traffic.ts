/** The traffic document: counters of every child as they are now. */
import type { StatusDocument } from "../control/schema.ts";
import { TRAFFIC_ROWS_MAX, type TrafficDocument, type TrafficRow } from "../control/traffic-schema.ts";

/** Every SA of a child together: those beside the first one carry a part of it. */
export function trafficOf({ uptimeSeconds, connections, drops }: StatusDocument): TrafficDocument {
  const rows = connections.flatMap((connection) =>
    connection.children.map((child): TrafficRow => {
      const sas = [child, ...(child.siblings ?? []), ...(child.parts ?? [])];
      const sum = (field: "inboundPackets" | "inboundOctets" | "outboundPackets" | "outboundOctets") =>
        sas.reduce((total, { counters }) => total + (counters?.[field] ?? 0), 0);
      return {
        connection: connection.name,
        child: child.name,
        state: child.state,
        troubles: [...new Set([...connection.troubles, ...child.troubles])],
        inboundPackets: sum("inboundPackets"),
        inboundOctets: sum("inboundOctets"),
        outboundPackets: sum("outboundPackets"),
        outboundOctets: sum("outboundOctets"),
        recentSent: child.loss?.recent.sent ?? 0,
        recentLost: child.loss?.recent.lost ?? 0,
      };
    }),
  );
  const told = rows.slice(0, TRAFFIC_ROWS_MAX);
  return { uptimeSeconds, rows: told, omitted: rows.length - told.length, drops };
}
