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

/**
 * Who of its candidates should own each key: nobody gets more than an even share, rounded up, as long as others can take
 * more. Rendezvous hashing among those who have room, so that a node that joins or leaves moves little more than it must.
 * Everybody who asks with the same keys and candidates gets the same answer, in whatever order they are listed.
 */
export function evenShares(
  keys: readonly string[],
  candidatesOf: (key: string) => readonly string[],
): Map<string, string | null> {
  const owners = new Map<string, string | null>();
  const load = new Map<string, number>();
  const nodes = new Set(keys.flatMap(candidatesOf));
  const share = Math.ceil(keys.length / Math.max(1, nodes.size));
  for (const key of keys.toSorted()) {
    const candidates = candidatesOf(key);
    const free = candidates.filter((node) => (load.get(node) ?? 0) < share);
    const owner = rendezvous(key, free.length > 0 ? free : candidates);
    owners.set(key, owner);
    if (owner !== null) load.set(owner, (load.get(owner) ?? 0) + 1);
  }
  return owners;
}
