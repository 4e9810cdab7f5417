/**
 * Loaded before every test file (`bunfig.toml`): all property tests draw their cases from one seed, the same in every run,
 * so that a change is judged by what it does and not by luck. `bun run fuzz` looks for new cases, with seeds of its own.
 */
import fc from "fast-check";

const given = process.env["SLUICE_TEST_SEED"] ?? "20251121";
if (!/^-?\d{1,10}$/.test(given)) throw new Error(`SLUICE_TEST_SEED is a whole number, not ${given}`);
/** For tests that draw without fast-check. */
export const TEST_SEED = Number(given);

// Bun prints an error without its cause, and the cause is what the property said.
fc.configureGlobal({ seed: TEST_SEED, includeErrorInReport: true });
