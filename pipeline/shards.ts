/** Which lane a mint belongs to. Fixed for the life of a deployment: changing the number of lanes is a rebuild. */

/** Virtual shards: many more than lanes, so that lanes stay even. */
export const SHARDS = 64;

/** First eight hex digits of sha256 over the mint's base58 text, as an integer, modulo 64. */
export function shardOf(mintBase58: string): number {
  const digest = new Bun.CryptoHasher("sha256").update(mintBase58).digest();
  return digest.readUInt32BE(0) % SHARDS;
}

export function laneOf(mintBase58: string, lanes: number): number {
  return shardOf(mintBase58) % lanes;
}

/**
 * Who of `nodes` should own `key`: rendezvous hashing, so a node that joins or leaves moves only what it must.
 * Null when there is nobody.
 */
export function rendezvous(key: string, nodes: readonly string[]): string | null {
  let best: string | null = null;
  let bestScore = -1n;
  for (const node of nodes) {
    const score = Bun.hash.xxHash64(`${node}\u0000${key}`);
    if (score > bestScore || (score === bestScore && best !== null && node < best)) {
      best = node;
      bestScore = score;
    }
  }
  return best;
}
