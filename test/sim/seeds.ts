/**
 * Seeds that found something, and what. They run with the suite for ever. A seed tells the same story only as long as the
 * simulation does; what it found is held by a test of its own beside the code as well.
 */
export interface Found {
  readonly seed: number;
  /** How likely faults are, times the usual. */
  readonly strength: number;
  readonly what: string;
}

export const FOUND: readonly Found[] = [
  { seed: 0, strength: 1, what: "an archive that read the past again took an old undo for one below its final block" },
  { seed: 1, strength: 1, what: "the same, with a fork that was left and became valid again" },
  {
    seed: 9,
    strength: 1,
    what: "a process that slept through its lease asked for replays of what was trimmed behind it",
  },
  { seed: 12, strength: 1, what: "the same process told where it had stood, and producers went back to there" },
  {
    seed: 21,
    strength: 1,
    what: "a fork beside a final block that the filter leaves out was taken for valid, and final",
  },
  { seed: 578, strength: 1, what: "a lane had recorded as final what lay beyond where an undo had taken it" },
  {
    seed: 653,
    strength: 1,
    what: "a hint into a stream that was made anew pointed behind its end, where nothing ever came",
  },
  { seed: 4, strength: 4, what: "a block that the source repeated within a batch was taken for another one" },
  { seed: 1117, strength: 2, what: "a late message from before a stream was lost hit upon the expected sequence" },
  { seed: 1533, strength: 2, what: "the oldest message of a trimmed stream lay in the middle of an abandoned fork" },
  {
    seed: 1927,
    strength: 2,
    what: "finality that ran ahead of its block made an old fork, read again, final in the archive",
  },
  {
    seed: 2102,
    strength: 2,
    what: "a lane ahead of a rebuilt stream skipped it without letting it be trimmed: it stayed full",
  },
  {
    seed: 3591,
    strength: 2,
    what: "where the archive stood in its input was told, trimmed by, and forgotten at its restart",
  },
  { seed: 4359, strength: 2, what: "an undo to below a final block that the filter leaves out was taken for the past" },
  {
    seed: 21587,
    strength: 2,
    what: "a source that repeated blocks went on from one of them, and the fork above it was never undone",
  },
];
