/** Everything that the page knows, in one place: answers that are kept up to date while a panel watches, and the live feed. */
import type {
  HealthAnswer,
  LakeAnswer,
  Listed,
  MintAnswer,
  QuarantineAnswer,
  RankedAnswer,
  StagesAnswer,
  StatusAnswer,
} from "./answers.ts";
import { Live, overWebSocket } from "./live.ts";
import { addSamples, type Figures, figuresOf, type Samples } from "./pipeline-model.ts";
import { Resource } from "./resource.ts";
import { get, Problem, token } from "./server.ts";

/** Looks at the pipeline that are kept for the small curves: two minutes. */
const HISTORY_MAX = 120;
const LISTED = 12;

export interface PipelineNow {
  readonly answer: StagesAnswer;
  readonly samples: Samples;
  readonly figures: Figures;
  /** Oldest first. */
  readonly history: readonly Figures[];
}

export class Store {
  readonly pipeline: Resource<PipelineNow>;
  readonly status = polled<StatusAnswer>("/api/indexer/status", 30_000);
  readonly health = polled<HealthAnswer>("/health", 3_000);
  readonly hot = polled<Listed<RankedAnswer>>(`/v1/mints/ranked?by=hot&limit=${LISTED}`, 5_000);
  readonly recent = polled<Listed<MintAnswer>>(`/v1/mints?limit=${LISTED}`, 10_000);
  readonly lake = polled<LakeAnswer>("/v1/lake", 10_000);
  readonly quarantine = polled<QuarantineAnswer>("/v1/quarantine?limit=20", 10_000);
  readonly live = new Live({ connect: overWebSocket(liveUrl(), token()), mayConnect: () => !this.isRefused });

  /** The source whose pipeline is shown; null: the first. */
  private source: string | null = null;

  constructor() {
    let samples: Samples = new Map();
    let history: readonly Figures[] = [];
    let shown: string | null = null;
    this.pipeline = new Resource({
      everyMs: 1_000,
      load: async (signal) => {
        const query = this.source === null ? "" : `?${new URLSearchParams({ source: this.source })}`;
        const answer = await get<StagesAnswer>(`/v1/stages${query}`, signal);
        if (answer.source !== shown) [samples, history, shown] = [new Map(), [], answer.source];
        samples = addSamples(samples, answer);
        const figures = figuresOf(answer, samples);
        history = [...history, figures].slice(-HISTORY_MAX);
        return { answer, samples, figures, history };
      },
    });
  }

  /** The API wants a token, or another one. */
  private get isRefused(): boolean {
    const { error } = this.pipeline.current;
    return error instanceof Problem && error.wantsToken;
  }

  showSource(source: string): void {
    this.source = source;
    this.pipeline.refresh();
  }

  /** Time has passed: whoever shows how old something is looks again. */
  look(): void {
    const all: Resource<unknown>[] = [this.pipeline, this.health, this.hot, this.recent, this.lake, this.quarantine];
    for (const resource of all) resource.look();
  }
}

export function polled<T>(path: string, everyMs: number): Resource<T> {
  return new Resource<T>({ load: (signal) => get<T>(path, signal), everyMs });
}

function liveUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`;
}
