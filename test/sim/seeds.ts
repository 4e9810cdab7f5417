/**
 * Seeds that found something, and what. Each runs with the suite for ever. A seed is a story only as long as the
 * simulation tells it the same way; what it found is held by a test of its own beside the code as well.
 */
export const FOUND: readonly { readonly seed: number; readonly what: string }[] = [
  { seed: 0, what: "an archive that read the past again took an old undo for one below its final block, and gave up" },
  { seed: 1, what: "the same, with a fork that was left and became valid again" },
  {
    seed: 9,
    what: "a process that slept through its lease asked for replays of streams that others had trimmed behind it",
  },
  { seed: 12, what: "the same process told where it had stood, and producers went back to there" },
  {
    seed: 21,
    what: "a block of an abandoned fork beside a final one that the filter leaves out was taken for a fork, and for final",
  },
];
