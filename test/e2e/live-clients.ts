/**
 * Many clients of the live feed in a process of their own, so that they take nothing from who is being tested. Each keeps
 * what it is told, takes back what an undo takes back, and when it is closed goes on from its last position.
 *
 * Usage: live-clients.ts URL, with a JSON list of topics on the first line of stdin, one client each. Prints "ready" when
 * all have subscribed. The second line is the hash of a block: when all have come to it, prints for each client what it
 * holds as a `Told` in JSON, and ends.
 */
export interface Told {
  readonly topic: string;
  /** `signature path ordinal` of each trade, as told. */
  readonly trades: readonly string[];
  readonly undos: number;
  readonly gaps: number;
  /** Codes with which it was closed before it went on. */
  readonly closed: readonly number[];
  readonly errors: readonly string[];
}

interface Place {
  readonly slot: number;
  readonly hash: string;
}

interface Message {
  readonly type: string;
  readonly at?: Place | null;
  readonly code?: string;
  readonly trade?: { readonly signature: string; readonly instruction_path: string; readonly ordinal: number };
}

class Client {
  at: Place | null = null;
  private held: { readonly at: Place; readonly trade: string }[] = [];
  private undos = 0;
  private gaps = 0;
  private readonly closed: number[] = [];
  private readonly errors: string[] = [];

  constructor(
    private readonly url: string,
    private readonly topic: string,
    private readonly onSubscribed: () => void,
  ) {
    this.open();
  }

  get told(): Told {
    const { topic, undos, gaps, closed, errors } = this;
    return { topic, undos, gaps, closed, errors, trades: this.held.map(({ trade }) => trade) };
  }

  private open(): void {
    const socket = new WebSocket(this.url);
    const from = this.at === null ? {} : { resume_from: this.at };
    socket.onopen = () => socket.send(JSON.stringify({ op: "subscribe", topics: [this.topic], ...from }));
    socket.onmessage = ({ data }) => this.take(JSON.parse(String(data)) as Message);
    socket.onclose = ({ code }) => {
      this.closed.push(code);
      this.open();
    };
  }

  private take({ type, at, trade, code }: Message): void {
    if (type === "subscribed") this.onSubscribed();
    if (type === "error") this.errors.push(String(code));
    if (type === "gap") this.gaps++;
    if (type === "undo") {
      this.undos++;
      const { slot, hash } = at!;
      this.held = this.held.filter(({ at }) => at.slot < slot || (at.slot === slot && at.hash === hash));
    }
    if (trade !== undefined) {
      this.held.push({ at: at!, trade: `${trade.signature} ${trade.instruction_path} ${trade.ordinal}` });
    }
    if (at != null) this.at = at;
  }
}

async function main(): Promise<void> {
  const url = `${process.argv[2]!.replace("http", "ws")}/v1/live`;
  const lines = console[Symbol.asyncIterator]();
  const topics = JSON.parse((await lines.next()).value!) as string[];
  const isSubscribed = new Set<number>();
  const clients = topics.map((topic, i) => {
    return new Client(url, topic, () => {
      if (isSubscribed.add(i).size === topics.length) console.log("ready");
    });
  });
  const last = (await lines.next()).value!;
  while (!clients.every(({ at }) => at?.hash === last)) await Bun.sleep(100);
  console.log(JSON.stringify(clients.map(({ told }) => told)));
  process.exit(0);
}

if (import.meta.main) await main();
