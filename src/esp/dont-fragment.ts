/** DF of the outer IPv4 header (RFC 4301 section 8.1) [SPD-09]. */

/**
 * @param inner - the inner packet must not be fragmented: IPv4's flag; always so with IPv6
 * @param setting - as in the SA's slot: 0 copies, 1 sets, 2 clears
 */
export function outerDf(inner: boolean, setting: number): boolean {
  return setting === 0 ? inner : setting === 1;
}
